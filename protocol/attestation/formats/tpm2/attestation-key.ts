import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { refusedEvidence } from '../../evidence-format.ts'
import { algorithmIds, curves, findCurve, findHash, type HashName, nameOf } from './algorithms.ts'
import { type EccParameters, objectAttributes, type PublicArea, type RsaParameters } from './public-area.ts'
import type { TpmSignature } from './signature.ts'

/** An attestation key that a TPM made, keeps, and signs its own structures with, and nothing that looks like them. */
export interface AttestationKey {
  /** TPMT_PUBLIC. */
  bytes: Uint8Array
  nameAlgorithm: HashName
  name: Buffer
  scheme: 'rsassa' | 'rsapss' | 'ecdsa'
  /** Of the signature, and so of the digest of the quoted PCRs. */
  hash: HashName
  publicKey: KeyObject
  /** Of ECDSA, in bytes. */
  coordinateLength: number
}

const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign, decrypt } = objectAttributes
const demanded = { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign }

/** Throws `evidence_refused`. That it is in the TPM of an EK is not known yet. */
export function verifyAttestationKey(area: PublicArea): AttestationKey {
  for (const [attribute, bit] of Object.entries(demanded)) {
    if ((area.attributes & bit) === 0) throw refusedEvidence('tpm2.ak_attributes', `The AK is not ${attribute}.`)
  }
  if ((area.attributes & decrypt) !== 0) throw refusedEvidence('tpm2.ak_attributes', 'The AK may decrypt.')
  const nameAlgorithm = findHash(area.nameAlgorithm)
  if (nameAlgorithm === undefined) {
    throw refusedEvidence('tpm2.ak_name_algorithm', 'The AK is not named with SHA-256 or SHA-384.')
  }
  const { publicKey, coordinateLength } = area.key.type === 'rsa' ? importRsa(area.key) : importEcc(area.key)
  const scheme = schemeOf(area)
  const hash = findHash(area.scheme.hash)
  if (scheme === undefined || hash === undefined) {
    throw refusedEvidence('tpm2.ak_scheme', 'The AK does not sign with RSASSA, RSAPSS or ECDSA and SHA-256 or SHA-384.')
  }
  const name = nameOf(nameAlgorithm, area.bytes)
  return { bytes: area.bytes, nameAlgorithm, name, scheme, hash, publicKey, coordinateLength }
}

function schemeOf({ key, scheme: { algorithm } }: PublicArea): AttestationKey['scheme'] | undefined {
  if (key.type === 'ecc') return algorithm === algorithmIds.ecdsa ? 'ecdsa' : undefined
  if (algorithm === algorithmIds.rsassa) return 'rsassa'
  return algorithm === algorithmIds.rsapss ? 'rsapss' : undefined
}

/** At most RSA-4096: a longer modulus was not read. Zero stands for 65537 (TPM 2.0 Part 2 §12.2.3.5), and no TPM needs another. */
function importRsa({ keyBits, exponent, modulus }: RsaParameters) {
  const isWhole = modulus.length * 8 === keyBits && (modulus[0] as number) >= 0x80
  if (keyBits < 2048 || !isWhole || (exponent !== 0 && exponent !== 65_537)) {
    throw refusedEvidence('tpm2.ak_key', 'The AK is not of RSA-2048 to RSA-4096 with the exponent 65537.')
  }
  const n = Buffer.from(modulus).toString('base64url')
  return { publicKey: createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' }), coordinateLength: 0 }
}

function importEcc({ curve, kdf, x, y }: EccParameters) {
  const crv = findCurve(curve)
  if (crv === undefined || kdf !== algorithmIds.null) {
    throw refusedEvidence('tpm2.ak_key', 'The AK is not of P-256 or P-384.')
  }
  const { length } = curves[crv]
  if (x.length > length || y.length > length) throw refusedEvidence('tpm2.ak_key', 'The AK is beyond its curve.')
  const coordinate = (bytes: Uint8Array) => padded(bytes, length).toString('base64url')
  const key = { kty: 'EC', crv, x: coordinate(x), y: coordinate(y) }
  try {
    return { publicKey: createPublicKey({ key, format: 'jwk' }), coordinateLength: length }
  } catch (cause) {
    throw refusedEvidence('tpm2.ak_key', 'The AK is not a point of its curve.', { cause })
  }
}

/** Some TPMs leave zeros before a number away. */
function padded(bytes: Uint8Array, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes])
}

/** Throws `evidence_refused` unless it is a signature of this key in the key's own scheme. */
export function verifySignature(
  ak: AttestationKey,
  signed: Uint8Array,
  { algorithm, hash, value }: TpmSignature,
): void {
  if (algorithm !== algorithmIds[ak.scheme] || hash !== algorithmIds[ak.hash]) {
    throw refusedEvidence('tpm2.signature_scheme', 'The quote is signed in another scheme than that of the AK.')
  }
  if (!isSignatureOf(ak, signed, value)) throw refusedEvidence('tpm2.signature', 'The AK did not sign the quote.')
}

function isSignatureOf(ak: AttestationKey, signed: Uint8Array, value: TpmSignature['value']): boolean {
  const key = ak.publicKey
  if (value.type === 'ecc') {
    const { r, s } = value
    const { coordinateLength: length } = ak
    if (r.length > length || s.length > length) return false
    const rAndS = Buffer.concat([padded(r, length), padded(s, length)])
    return verify(ak.hash, signed, { key, dsaEncoding: 'ieee-p1363' }, rAndS)
  }
  if (ak.scheme === 'rsassa') return verify(ak.hash, signed, key, value.bytes)
  // TPMs take a salt as long as the hash, or the longest that fits (TPM 2.0 Part 1, B.7): it is what the signature says.
  const saltLength = constants.RSA_PSS_SALTLEN_AUTO
  return verify(ak.hash, signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, value.bytes)
}
