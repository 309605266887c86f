import { createHash } from 'node:crypto'

/** A writer of the structures of TPM 2.0 of the tests' own, which also writes what no TPM would. */
export const tpmHashes = { sha1: 0x0004, sha256: 0x000b, sha384: 0x000c, sha512: 0x000d } as const
export type TpmHash = keyof typeof tpmHashes
export const tpmSchemes = {
  null: 0x0010,
  rsassa: 0x0014,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdaa: 0x001a,
} as const
export type TpmScheme = keyof typeof tpmSchemes

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function u64(value: bigint | number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

export function tpm2b(...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([u16(content.length), content])
}

export function hashOf(hash: TpmHash, ...parts: Uint8Array[]): Buffer {
  return createHash(hash).update(Buffer.concat(parts)).digest()
}

export function tpmName(hash: TpmHash, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([u16(tpmHashes[hash]), hashOf(hash, ...parts)])
}

export interface PublicParts {
  type: number
  nameHash: number
  attributes: number
  policy: Uint8Array
  symmetric: Uint8Array
  scheme: Uint8Array
  /** Key size and exponent, or curve and KDF. */
  parameters: Uint8Array
  /** Modulus, or both coordinates. */
  unique: Uint8Array
  behind: Uint8Array
}

/** TPMT_PUBLIC. */
export function writePublic(parts: PublicParts): Buffer {
  return Buffer.concat([
    u16(parts.type),
    u16(parts.nameHash),
    u32(parts.attributes),
    tpm2b(parts.policy),
    parts.symmetric,
    parts.scheme,
    parts.parameters,
    parts.unique,
    parts.behind,
  ])
}

/** Of a bank, by its number: TPMS_PCR_SELECTION with three bytes. */
export interface TestSelection {
  bank: number
  pcrs: readonly number[]
}

export function writeSelection({ bank, pcrs }: TestSelection): Buffer {
  const mask = Buffer.alloc(3)
  for (const pcr of pcrs) mask[pcr >> 3] = (mask[pcr >> 3] as number) | (1 << (pcr & 7))
  return Buffer.concat([u16(bank), Buffer.of(3), mask])
}

export interface AttestParts {
  magic: number
  type: number
  qualifiedSigner: Uint8Array
  extraData: Uint8Array
  clock: bigint | number
  resetCount: number
  restartCount: number
  safe: number
  firmwareVersion: Uint8Array
  selections: Uint8Array
  pcrDigest: Uint8Array
  behind: Uint8Array
}

/** TPMS_ATTEST of a quote. */
export function writeAttest(parts: AttestParts): Buffer {
  return Buffer.concat([
    u32(parts.magic),
    u16(parts.type),
    tpm2b(parts.qualifiedSigner),
    tpm2b(parts.extraData),
    u64(parts.clock),
    u32(parts.resetCount),
    u32(parts.restartCount),
    Buffer.of(parts.safe),
    parts.firmwareVersion,
    parts.selections,
    tpm2b(parts.pcrDigest),
    parts.behind,
  ])
}

/** TPML_PCR_SELECTION. */
export function writeSelections(selections: readonly TestSelection[]): Buffer {
  return Buffer.concat([u32(selections.length), ...selections.map(writeSelection)])
}
