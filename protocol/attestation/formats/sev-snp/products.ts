/** Parts of a TCB version. `fmc` is there from Turin on. */
export const tcbParts = ['fmc', 'bootloader', 'tee', 'snp', 'microcode'] as const
export type TcbPart = (typeof tcbParts)[number]
export type Tcb = Partial<Record<TcbPart, number>>

interface Product {
  /** Where each part stands in the eight bytes of a TCB version; the others are reserved (ABI 56860, revision 1.58, tables 3 and 4). */
  tcb: Tcb
  /** How much of a chip id is one (57230, revision 1.00, table 10: hwID). */
  chipIdBytes: number
  family: number
  /** First and last models. */
  models: readonly (readonly [number, number])[]
}

const untilGenoa = { bootloader: 0, tee: 1, snp: 6, microcode: 7 }

/** By the name in certificates: Bergamo and Siena are Genoa there (57230, revision 1.00, table 4). */
export const products = {
  Milan: { tcb: untilGenoa, chipIdBytes: 64, family: 0x19, models: [[0x00, 0x0f]] },
  Genoa: {
    tcb: untilGenoa,
    chipIdBytes: 64,
    family: 0x19,
    models: [
      [0x10, 0x1f],
      [0xa0, 0xaf],
    ],
  },
  Turin: {
    tcb: { fmc: 0, bootloader: 1, tee: 2, snp: 3, microcode: 7 },
    chipIdBytes: 8,
    family: 0x1a,
    models: [[0x00, 0x1f]],
  },
} as const satisfies Record<string, Product>
export type ProductName = keyof typeof products
export const productNames = Object.keys(products) as [ProductName, ...ProductName[]]

export function isOfProduct(name: ProductName, { family, model }: { family: number; model: number }): boolean {
  const product: Product = products[name]
  return family === product.family && product.models.some(([first, last]) => first <= model && model <= last)
}

export function toTcb(name: ProductName, bytes: Uint8Array): Tcb {
  const { tcb }: Product = products[name]
  return Object.fromEntries(Object.entries(tcb).map(([part, at]) => [part, bytes[at] as number]))
}

/** With every reserved byte zero. */
export function fromTcb(name: ProductName, parts: Tcb): Uint8Array {
  const { tcb }: Product = products[name]
  const bytes = new Uint8Array(8)
  for (const part of tcbParts) {
    const at = tcb[part]
    if (at !== undefined) bytes[at] = parts[part] ?? 0
  }
  return bytes
}
