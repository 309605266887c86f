import { type KeyObject, sign } from 'node:crypto'
import { type ProductName, products, type Tcb } from '../../../protocol/attestation/formats/sev-snp/products.ts'
import type { SigningKey } from '../../../protocol/attestation/formats/sev-snp/verify.ts'

export const sevSnpBinding = Buffer.alloc(32, 0xb1)
export const sevSnpMeasurement = Buffer.alloc(48, 0x3e)

/** Where fields of a report begin (ABI 56860, "ATTESTATION_REPORT"). */
export const reportFields = {
  version: 0x00,
  guestSvn: 0x04,
  policy: 0x08,
  familyId: 0x10,
  imageId: 0x20,
  vmpl: 0x30,
  signatureAlgorithm: 0x34,
  currentTcb: 0x38,
  platform: 0x40,
  flags: 0x48,
  reportData: 0x50,
  measurement: 0x90,
  hostData: 0xc0,
  idKeyDigest: 0xe0,
  authorKeyDigest: 0x110,
  reportId: 0x140,
  reportedTcb: 0x180,
  cpu: 0x188,
  chipId: 0x1a0,
  committedTcb: 0x1e0,
  currentFirmware: 0x1e8,
  committedFirmware: 0x1ec,
  launchTcb: 0x1f0,
  launchMitigations: 0x1f8,
  currentMitigations: 0x200,
  r: 0x2a0,
  s: 0x2e8,
} as const

/** Models of each product, and one patch level for each of its parts. */
export const sevSnpCpus = { Milan: [0x19, 0x01, 1], Genoa: [0x19, 0x11, 1], Turin: [0x1a, 0x02, 1] } as const
export const sevSnpTcb: Tcb = { fmc: 1, bootloader: 4, tee: 2, snp: 24, microcode: 219 }

export interface ReportOptions {
  product: ProductName
  signingKey: SigningKey
  version: number
  /** Before it is signed. */
  change: (report: Buffer) => void
  /** Of what is signed already. */
  forge: (report: Buffer) => void
}

export function tcbBytes(product: ProductName, levels: Tcb = sevSnpTcb): Buffer {
  const bytes = Buffer.alloc(8)
  for (const [part, at] of Object.entries(products[product].tcb)) bytes[at] = levels[part as keyof Tcb] ?? 0
  return bytes
}

/** The chip id, with zeros behind that of Turin. */
export function chipIdBytes(product: ProductName): Buffer {
  const { chipIdBytes: length } = products[product]
  return Buffer.concat([Buffer.alloc(length, 0xc1), Buffer.alloc(64 - length)])
}

export function makeReport({ product, signingKey, version, change, forge }: ReportOptions, key: KeyObject): Buffer {
  const at = reportFields
  const report = Buffer.alloc(1184)
  report.writeUInt32LE(version, at.version)
  report.writeUInt32LE(3, at.guestSvn)
  // ABI 1.55, SMT, and the bit that is always set.
  report.writeBigUInt64LE(0x3_0137n, at.policy)
  report.fill(0x11, at.familyId, at.familyId + 16)
  report.fill(0x22, at.imageId, at.imageId + 16)
  report.writeUInt32LE(1, at.signatureAlgorithm)
  // SMT, ECC and the check of aliases.
  report.writeBigUInt64LE(0b100101n, at.platform)
  report.writeUInt32LE(signingKey === 'vlek' ? 0b100 : 0, at.flags)
  sevSnpBinding.copy(report, at.reportData)
  sevSnpMeasurement.copy(report, at.measurement)
  report.fill(0x44, at.hostData, at.hostData + 32)
  report.fill(0x55, at.reportId, at.reportId + 32)
  for (const field of [at.currentTcb, at.reportedTcb, at.committedTcb, at.launchTcb]) {
    tcbBytes(product).copy(report, field)
  }
  if (version >= 3) report.set(sevSnpCpus[product], at.cpu)
  if (version >= 5) report.writeBigUInt64LE(0x1fn, at.launchMitigations)
  if (version >= 5) report.writeBigUInt64LE(0x3fn, at.currentMitigations)
  chipIdBytes(product).copy(report, at.chipId)
  report.set([29, 55, 1], at.currentFirmware)
  report.set([27, 54, 1], at.committedFirmware)
  change(report)
  const signature = sign('sha384', report.subarray(0, at.r), { key, dsaEncoding: 'ieee-p1363' })
  report.set(signature.subarray(0, 48).reverse(), at.r)
  report.set(signature.subarray(48).reverse(), at.s)
  forge(report)
  return report
}
