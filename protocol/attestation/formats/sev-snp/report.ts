import { malformedEvidence } from '../../evidence-format.ts'

/** ATTESTATION_REPORT (ABI 56860, revision 1.58, table 23): the same length in every version. */
export const REPORT_BYTES = 1184
const SIGNED_BYTES = 0x2a0
/** r, then s, each little endian in 72 bytes (table 141). */
const SCALAR_FIELD_BYTES = 72
const SCALAR_BYTES = 48
const versions = [2, 3, 4, 5]

/** Bits of POLICY (table 9), which the firmware holds the guest's host to. Bit 17 is always set. */
const policyBits = {
  smt: 16,
  migration: 18,
  debug: 19,
  'single-socket': 20,
  cxl: 21,
  'aes-256-xts': 22,
  'rapl-disabled': 23,
  'ciphertext-hiding': 24,
  'page-swap-disabled': 25,
} as const
export type PolicyFlag = keyof typeof policyBits
const ALWAYS_SET = 17
const POLICY_BITS = 26

/**
 * Bits of PLATFORM_INFO (behind table 23): what is so on the machine, whatever the policy asks. Revision 1.58 does not name bit 6, which
 * firmware with what AMD-SB-3016 mends sets.
 */
const platformBits = {
  smt: 0,
  tsme: 1,
  ecc: 2,
  'rapl-disabled': 3,
  'ciphertext-hiding': 4,
  'alias-check': 5,
  'iommu-write-safe': 6,
  tio: 7,
} as const
export type PlatformFlag = keyof typeof platformBits

/** What a report says that goes into claims as it is. */
export interface ReportFacts {
  version: number
  guestSvn: number
  policy: { abi: string; flags: PolicyFlag[] }
  platform: PlatformFlag[]
  /** 0 to 3; of a report that the host asked for, 0xffffffff. */
  vmpl: number
  familyId: string
  imageId: string
  measurement: string
  hostData: string
  /** Of the keys of the ID block; undefined where there was none, or none of the author. */
  idKeyDigest: string | undefined
  authorKeyDigest: string | undefined
  reportId: string
  /** From version 3 on. */
  cpu: { family: number; model: number; stepping: number } | undefined
  firmware: { current: string; committed: string }
  /** LAUNCH_MIT_VECTOR and CURRENT_MIT_VECTOR: bit vectors, in hexadecimal; from version 5 on. */
  mitigations: { launch: string; current: string } | undefined
}

/** A report that could be read. Nothing of it is verified. */
export interface Report {
  /** What is signed. */
  signed: Uint8Array
  /** r and s, big endian, 48 bytes each. */
  signature: Uint8Array
  signatureAlgorithm: number
  signingKey: number
  reportData: Uint8Array
  /** TCB versions, eight bytes each; which byte is what depends on the product. */
  tcb: Record<'current' | 'reported' | 'committed' | 'launch', Uint8Array>
  /** 64 bytes; undefined where the host masks it (MASK_CHIP_ID of SNP_CONFIG), and then all zeros. */
  chipId: Uint8Array | undefined
  facts: ReportFacts
}

/** `REPORT_BYTES` of version 2 to 5, with every reserved byte zero. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseReport(bytes: Uint8Array): Report {
  const report = Buffer.from(bytes)
  const version = report.readUInt32LE(0)
  if (!versions.includes(version)) throw malformedEvidence(`A report of version ${version} is not supported.`)
  const flags = report.readUInt32LE(0x48)
  if (flags >= 1 << 5 || reserved(version).some(([from, to]) => !isZero(report.subarray(from, to)))) {
    throw malformedEvidence('A report has reserved bytes that are not zero.')
  }
  const part = (at: number, length: number) => report.subarray(at, at + length)
  const text = (at: number, length: number) => part(at, length).toString('hex')
  const given = (at: number, length: number) => (isZero(part(at, length)) ? undefined : part(at, length))
  return {
    signed: part(0, SIGNED_BYTES),
    signature: Buffer.concat([readScalar(report, 0), readScalar(report, 1)]),
    signatureAlgorithm: report.readUInt32LE(0x34),
    // Below it stand AUTHOR_KEY_EN and MASK_CHIP_KEY: whether there is a digest shows in it, and a masked key signs nothing.
    signingKey: flags >> 2,
    reportData: part(0x50, 64),
    tcb: { current: part(0x38, 8), reported: part(0x180, 8), committed: part(0x1e0, 8), launch: part(0x1f0, 8) },
    chipId: given(0x1a0, 64),
    facts: {
      version,
      guestSvn: report.readUInt32LE(0x04),
      policy: parsePolicy(report.readBigUInt64LE(0x08)),
      platform: flagsOf(platformBits, report.readBigUInt64LE(0x40)),
      vmpl: report.readUInt32LE(0x30),
      familyId: text(0x10, 16),
      imageId: text(0x20, 16),
      measurement: text(0x90, 48),
      hostData: text(0xc0, 32),
      idKeyDigest: given(0xe0, 48)?.toString('hex'),
      authorKeyDigest: given(0x110, 48)?.toString('hex'),
      reportId: text(0x140, 32),
      cpu: version < 3 ? undefined : toCpu(part(0x188, 3)),
      firmware: { current: firmwareAt(part(0x1e8, 3)), committed: firmwareAt(part(0x1ec, 3)) },
      mitigations: version < 5 ? undefined : { launch: bitVector(report, 0x1f8), current: bitVector(report, 0x200) },
    },
  }
}

/** From and to, in bytes. */
function reserved(version: number): readonly (readonly [number, number])[] {
  return [
    [0x4c, 0x50],
    [version < 3 ? 0x188 : 0x18b, 0x1a0],
    [0x1eb, 0x1ec],
    [0x1ef, 0x1f0],
    [version < 5 ? 0x1f8 : 0x208, SIGNED_BYTES],
    [SIGNED_BYTES + 2 * SCALAR_FIELD_BYTES, REPORT_BYTES],
  ]
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

function readScalar(report: Buffer, index: number): Buffer {
  const start = SIGNED_BYTES + index * SCALAR_FIELD_BYTES
  const field = report.subarray(start, start + SCALAR_FIELD_BYTES)
  if (!isZero(field.subarray(SCALAR_BYTES))) throw malformedEvidence('A signature has numbers of more than 48 bytes.')
  return Buffer.from(field.subarray(0, SCALAR_BYTES)).reverse()
}

/** What a bit that is not known would let the host do, nobody can tell. */
function parsePolicy(policy: bigint): ReportFacts['policy'] {
  if (policy >> BigInt(POLICY_BITS) !== 0n || !isSet(policy, ALWAYS_SET)) {
    throw malformedEvidence('A report has a guest policy with reserved bits that are not as they have to be.')
  }
  return { abi: `${(policy >> 8n) & 0xffn}.${policy & 0xffn}`, flags: flagsOf(policyBits, policy) }
}

function flagsOf<Flag extends string>(bits: Record<Flag, number>, value: bigint): Flag[] {
  return (Object.keys(bits) as Flag[]).filter((flag) => isSet(value, bits[flag]))
}

function isSet(value: bigint, bit: number): boolean {
  return ((value >> BigInt(bit)) & 1n) === 1n
}

function toCpu(bytes: Uint8Array) {
  const [family = 0, model = 0, stepping = 0] = bytes
  return { family, model, stepping }
}

/** Build, minor, major. */
function firmwareAt(bytes: Uint8Array): string {
  const [build, minor, major] = bytes
  return `${major}.${minor}.${build}`
}

function bitVector(report: Buffer, at: number): string {
  return report.readBigUInt64LE(at).toString(16).padStart(16, '0')
}
