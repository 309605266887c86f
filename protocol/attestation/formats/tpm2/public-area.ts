import { malformedEvidence } from '../../evidence-format.ts'
import { algorithmIds } from './algorithms.ts'
import { StructureReader } from './structure-reader.ts'

/** The largest that TPM 2.0 has with a key of RSA-4096: 10 bytes of head, 66 of policy, 16 of parameters, 514 of modulus. */
export const MAX_PUBLIC_BYTES = 608

/** TPMA_OBJECT (TPM 2.0 Part 2 §8.3.2). */
export const objectAttributes = {
  fixedTPM: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  adminWithPolicy: 1 << 7,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const

/** A signing or encryption scheme; `hash` is 0 where it has none. */
export interface KeyScheme {
  algorithm: number
  hash: number
}

export interface RsaParameters {
  type: 'rsa'
  keyBits: number
  exponent: number
  modulus: Uint8Array
}

export interface EccParameters {
  type: 'ecc'
  kdf: number
  curve: number
  x: Uint8Array
  y: Uint8Array
}

/** TPMT_PUBLIC of an asymmetric key. Numbers are as they are written: whether they are known is for whoever uses them. */
export interface PublicArea {
  /** TPMT_PUBLIC: what its name is the hash of. */
  bytes: Uint8Array
  nameAlgorithm: number
  attributes: number
  scheme: KeyScheme
  key: RsaParameters | EccParameters
}

/** Exactly one TPM2B_PUBLIC of an RSA or ECC key. Attacker-controlled input. Throws `evidence_malformed`. */
export function parsePublic(bytes: Uint8Array): PublicArea {
  const outer = new StructureReader(bytes, 'TPM2B_PUBLIC')
  const area = outer.sized(MAX_PUBLIC_BYTES)
  outer.end()
  const reader = new StructureReader(area, 'TPMT_PUBLIC')
  const type = reader.uint16()
  const nameAlgorithm = reader.uint16()
  const attributes = reader.uint32()
  reader.sized(64)
  skipSymmetric(reader)
  const scheme = readScheme(reader)
  const key = readKey(reader, type)
  reader.end()
  return { bytes: area, nameAlgorithm, attributes, scheme, key }
}

/** TPMT_SYM_DEF_OBJECT: key size and mode follow the algorithm, unless there is none. */
function skipSymmetric(reader: StructureReader): void {
  if (reader.uint16() !== algorithmIds.null) reader.bytes(4)
}

function readScheme(reader: StructureReader): KeyScheme {
  const algorithm = reader.uint16()
  switch (algorithm) {
    case algorithmIds.null:
    case algorithmIds.rsaes:
      return { algorithm, hash: 0 }
    case algorithmIds.rsassa:
    case algorithmIds.rsapss:
    case algorithmIds.oaep:
    case algorithmIds.ecdsa:
    case algorithmIds.ecdh:
      return { algorithm, hash: reader.uint16() }
    default:
      throw malformedEvidence('TPMT_PUBLIC has a scheme that is not known.')
  }
}

function readKey(reader: StructureReader, type: number): RsaParameters | EccParameters {
  switch (type) {
    case algorithmIds.rsa: {
      const keyBits = reader.uint16()
      return { type: 'rsa', keyBits, exponent: reader.uint32(), modulus: reader.sized(512) }
    }
    case algorithmIds.ecc: {
      const curve = reader.uint16()
      return { type: 'ecc', curve, kdf: readKdf(reader), x: reader.sized(66), y: reader.sized(66) }
    }
    default:
      throw malformedEvidence('TPMT_PUBLIC is not of an RSA or ECC key.')
  }
}

/** TPMT_KDF_SCHEME. */
function readKdf(reader: StructureReader): number {
  const algorithm = reader.uint16()
  if (algorithm !== algorithmIds.null) reader.uint16()
  return algorithm
}
