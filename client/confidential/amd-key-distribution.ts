import {
  isOfProduct,
  type ProductName,
  productNames,
  products,
  toTcb,
} from '../../protocol/attestation/formats/sev-snp/products.ts'
import type { Report } from '../../protocol/attestation/formats/sev-snp/report.ts'

/** AMD's key distribution service (57230, "Key Distribution Service"; of VLEKs 58369). */
const SERVICE = 'https://kdsintf.amd.com'

const parameters = { fmc: 'fmcSPL', bootloader: 'blSPL', tee: 'teeSPL', snp: 'snpSPL', microcode: 'ucodeSPL' } as const
const VLEK = 1

/** What to fetch for a report whose certificates are not there, and from where. */
export function describeMissing(report: Report): string {
  const name = productOf(report)
  // Reports name their processor from version 3 on, and Turin has made no older ones.
  const product = name ?? 'Milan'
  const other = name === undefined ? ' (Genoa in the place of Milan on such a processor)' : ''
  if (report.signingKey === VLEK) {
    return `It is a VLEK, whose certificate only the cloud has: ask it for the file, fetch ${SERVICE}/vlek/v1/${product}/cert_chain${other}, and name both with --certificates.`
  }
  if (report.chipId === undefined) {
    return 'The host does not say which chip it is, so that only who runs the host can fetch the VCEK: ask for the file, and name it with --certificates.'
  }
  const chip = Buffer.from(report.chipId.subarray(0, products[product].chipIdBytes)).toString('hex')
  const query = Object.entries(toTcb(product, report.tcb.reported))
    .map(([part, level]) => `${parameters[part as keyof typeof parameters]}=${level}`)
    .join('&')
  return `Fetch ${SERVICE}/vcek/v1/${product}/${chip}?${query} and ${SERVICE}/vcek/v1/${product}/cert_chain${other}, and name both files with --certificates.`
}

function productOf({ facts: { cpu } }: Report): ProductName | undefined {
  return cpu && productNames.find((name) => isOfProduct(name, cpu))
}
