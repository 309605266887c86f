import { z } from 'zod'
import { ALGORITHM, type CoseSign1, CRITICAL, TAG_SIGN1 } from '../cbor/cose-signature.ts'
import { corimInvalid, readBytes, readCbor, readMap, readMembers, readText } from './read-members.ts'
import { readSeconds, readValidity, type Validity } from './validity.ts'

/** Of the request that its values become (docs/api.md). */
export const MAX_CORIM_BYTES = 512 << 10

/** What the protected header says of who signed; nothing of it is verified. */
export interface CorimSignature {
  message: CoseSign1
  signerName: string
  /** Where the header names any. */
  validities: readonly Validity[]
}

/** Labels of headers (RFC 9052 §3.1, RFC 9597, RFC 9054; draft-ietf-rats-corim-11 §4.2.1). */
const CONTENT_TYPE = 3
const CORIM_META = 8
const CWT_CLAIMS = 15
const PAYLOAD_HASH_ALGORITHM = 258

/**
 * The bytes of the tagged CoRIM, and the signature around them where it is a COSE_Sign1. Attacker-controlled input. Throws `corim_invalid`.
 */
export function openCorim(bytes: Uint8Array): { content: Uint8Array; signature: CorimSignature | undefined } {
  if (bytes.length > MAX_CORIM_BYTES) throw corimInvalid(`A CoRIM has at most ${MAX_CORIM_BYTES} bytes.`)
  if (bytes[0] !== TAG_SIGN1) return { content: bytes, signature: undefined }
  const parts = readCbor(bytes.subarray(1), 'The signed CoRIM', { preferred: true })
  if (!Array.isArray(parts) || parts.length !== 4 || !(parts[1] instanceof Map)) {
    throw corimInvalid('It is no COSE_Sign1.')
  }
  const protectedBytes = readBytes(parts[0], 'protected')
  const header = readMap(readCbor(protectedBytes, 'protected'), 'protected')
  if (header.has(PAYLOAD_HASH_ALGORITHM) || parts[2] === null) {
    throw corimInvalid('payload: what is signed is not inside of it.')
  }
  if (header.get(CONTENT_TYPE) !== 'application/rim+cbor') {
    throw corimInvalid('protected.content-type is not application/rim+cbor.')
  }
  const algorithm = z.int().safeParse(header.get(ALGORITHM)).data
  if (algorithm === undefined) throw corimInvalid('protected.alg names no algorithm.')
  const message = {
    protectedBytes,
    algorithm,
    hasCritical: header.has(CRITICAL),
    payload: readBytes(parts[2], 'payload'),
    signature: readBytes(parts[3], 'signature'),
  }
  return { content: message.payload, signature: { message, ...readSigner(header) } }
}

function readSigner(header: ReadonlyMap<unknown, unknown>): Omit<CorimSignature, 'message'> {
  const found = [
    ...(header.has(CORIM_META) ? [readMeta(header.get(CORIM_META))] : []),
    ...(header.has(CWT_CLAIMS) ? [readClaims(header.get(CWT_CLAIMS))] : []),
  ]
  const [first] = found
  if (first === undefined) throw corimInvalid('protected has neither CWT-Claims nor corim-meta: it names no signer.')
  if (found.some(({ signerName }) => signerName !== first.signerName)) {
    throw corimInvalid('protected.CWT-Claims and corim-meta name two signers.')
  }
  return { signerName: first.signerName, validities: found.flatMap(({ validity }) => validity ?? []) }
}

type Signer = { signerName: string; validity: Validity | undefined }

function readMeta(value: unknown): Signer {
  const where = 'protected.corim-meta'
  const meta = readCbor(readBytes(value, where), where)
  const { signer, validity } = readMembers(meta, where, { 0: 'signer', 1: 'validity' })
  const { name } = readMembers(signer, `${where}.signer`, { 0: 'name', 1: 'uri' })
  return {
    signerName: readText(name, `${where}.signer.signer-name`),
    validity: validity === undefined ? undefined : readValidity(validity, `${where}.signature-validity`),
  }
}

/** Claims of RFC 8392. Others than these say nothing about the values. */
const ISSUER = 1
const EXPIRATION = 4
const NOT_BEFORE = 5

function readClaims(value: unknown): Signer {
  const where = 'protected.CWT-Claims'
  const claims = readMap(value, where)
  const read = (key: number, name: string) =>
    claims.has(key) ? readSeconds(claims.get(key), `${where}.${name}`) : undefined
  return {
    signerName: readText(claims.get(ISSUER), `${where}.iss`),
    validity: { notBeforeAt: read(NOT_BEFORE, 'nbf'), notAfterAt: read(EXPIRATION, 'exp') },
  }
}
