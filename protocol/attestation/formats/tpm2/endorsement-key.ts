import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { refusedEvidence } from '../../evidence-format.ts'
import { algorithmIds, type CurveName, curves, type HashName, nameOf, sized, uint16, uint32 } from './algorithms.ts'
import type { AttestationKey } from './attestation-key.ts'
import { objectAttributes } from './public-area.ts'

/** The key that a TPM was certified with. It only decrypts, and only what names a key of the same TPM. */
export interface EndorsementKey {
  /** Of the key, whatever certificate it is in: hex SHA-256 of its SubjectPublicKeyInfo. */
  id: string
  kind: EndorsementKeyKind
  publicKey: KeyObject
  nameAlgorithm: HashName
  /** Of AES, under which it takes credentials. */
  keyBits: 128 | 256
  /** The names that it has if it was made from one of the default templates. */
  names: readonly Buffer[]
}

export type EndorsementKeyKind = 'RSA-2048' | CurveName

const AES = 0x0006
const CFB = 0x0043
const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt, userWithAuth, adminWithPolicy } =
  objectAttributes
const common = fixedTPM | fixedParent | sensitiveDataOrigin | adminWithPolicy | restricted | decrypt

/** PolicyA and PolicyB (TCG EK Credential Profile 2.6, annex B): the latter is the former or another one. */
const policyA = '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa'
const policyB = {
  sha256: 'ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0',
  sha384: 'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
} as const
const lowRange = { attributes: common, policy: policyA }
const highRange = { attributes: common | userWithAuth, policy: policyB.sha256 }

interface EndorsementKeyProfile {
  nameAlgorithm: HashName
  keyBits: 128 | 256
  /** L-1 and H-1 of RSA-2048, L-2 and H-2 of P-256, H-3 of P-384: what of them a certificate does not say. */
  templates: readonly { attributes: number; policy: string }[]
}

const profiles: Readonly<Record<EndorsementKeyKind, EndorsementKeyProfile>> = {
  'RSA-2048': { nameAlgorithm: 'sha256', keyBits: 128, templates: [lowRange, highRange] },
  'P-256': { nameAlgorithm: 'sha256', keyBits: 128, templates: [lowRange, highRange] },
  'P-384': {
    nameAlgorithm: 'sha384',
    keyBits: 256,
    templates: [{ attributes: common | userWithAuth, policy: policyB.sha384 }],
  },
}

/** Throws `evidence_refused` for a key of another kind than those of the default templates. */
export function toEndorsementKey(certified: KeyObject): EndorsementKey {
  const jwk = certified.export({ format: 'jwk' })
  const kind = kindOf(jwk)
  if (kind === undefined) {
    throw refusedEvidence('tpm2.ek_key', 'The EK is not of RSA-2048 with the exponent 65537, P-256 or P-384.')
  }
  const { nameAlgorithm, keyBits, templates } = profiles[kind]
  // The certificate may write a point compressed.
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const names = templates.map(({ attributes, policy }) => {
    const head = [
      uint16(kind === 'RSA-2048' ? algorithmIds.rsa : algorithmIds.ecc),
      uint16(algorithmIds[nameAlgorithm]),
    ]
    const rights = [uint32(attributes), sized(Buffer.from(policy, 'hex'))]
    const symmetric = [uint16(AES), uint16(keyBits), uint16(CFB)]
    const parts = [...head, ...rights, ...symmetric, uint16(algorithmIds.null), ...keyParts(kind, jwk)]
    return nameOf(nameAlgorithm, ...parts)
  })
  return { id: createHash('sha256').update(spki).digest('hex'), kind, publicKey, nameAlgorithm, keyBits, names }
}

interface Jwk {
  crv?: string
  n?: string
  e?: string
  x?: string
  y?: string
}

function kindOf({ crv, n, e }: Jwk): EndorsementKeyKind | undefined {
  if (crv === 'P-256' || crv === 'P-384') return crv
  return e === 'AQAB' && bytesOf(n).length === 256 ? 'RSA-2048' : undefined
}

/** Parameters and unique value of a TPMT_PUBLIC; the exponent 65537 is written as zero. */
function keyParts(kind: EndorsementKeyKind, { n, x, y }: Jwk): Buffer[] {
  if (kind === 'RSA-2048') return [uint16(2048), uint32(0), sized(bytesOf(n))]
  return [uint16(curves[kind].id), uint16(algorithmIds.null), sized(bytesOf(x)), sized(bytesOf(y))]
}

function bytesOf(text: string | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64url')
}

/** TPM_RH_ENDORSEMENT, which is its own name. */
const ENDORSEMENT = uint32(0x4000_000b)

/**
 * The qualified names that an AK may have (TPM 2.0 Part 1 §16.5): under the EK, or of its own in the endorsement hierarchy. Of a key
 * elsewhere quotes hide how often the TPM was started.
 */
export function qualifiedNamesOf(ak: AttestationKey, { nameAlgorithm, names }: EndorsementKey): Buffer[] {
  const parents = names.map((name) => nameOf(nameAlgorithm, ENDORSEMENT, name))
  return [...parents, ENDORSEMENT].map((parent) => nameOf(ak.nameAlgorithm, parent, ak.name))
}
