import { hash } from 'node:crypto'

/** TPM_ALG_ID (TPM 2.0 Part 2 §6.3), as far as they are read here. */
export const algorithmIds = {
  rsa: 0x0001,
  sha256: 0x000b,
  sha384: 0x000c,
  null: 0x0010,
  rsassa: 0x0014,
  rsaes: 0x0015,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdh: 0x0019,
  ecc: 0x0023,
} as const

export const hashNames = ['sha256', 'sha384'] as const
export type HashName = (typeof hashNames)[number]

/** In bytes. */
export const hashLengths: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48 }

/** Undefined for every other one: SHA-1 among them. */
export function findHash(algorithmId: number): HashName | undefined {
  return hashNames.find((name) => algorithmIds[name] === algorithmId)
}

export const curveNames = ['P-256', 'P-384'] as const
export type CurveName = (typeof curveNames)[number]

/** TPM_ECC_CURVE, and the length of a coordinate in bytes. */
export const curves: Readonly<Record<CurveName, { id: number; length: number }>> = {
  'P-256': { id: 0x0003, length: 32 },
  'P-384': { id: 0x0004, length: 48 },
}

export function findCurve(curveId: number): CurveName | undefined {
  return curveNames.find((name) => curves[name].id === curveId)
}

export function digest(name: HashName, ...parts: Uint8Array[]): Buffer {
  return hash(name, parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts), 'buffer')
}

/** TPM2B_NAME without its size (Part 1 §16): the algorithm, then the hash of what is named. */
export function nameOf(nameAlgorithm: HashName, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([uint16(algorithmIds[nameAlgorithm]), digest(nameAlgorithm, ...parts)])
}

export function uint16(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 0xff)
}

export function uint32(value: number): Buffer {
  return Buffer.concat([uint16(value >>> 16), uint16(value & 0xffff)])
}

/** A TPM2B: its size, then the bytes. */
export function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint16(bytes.length), bytes])
}
