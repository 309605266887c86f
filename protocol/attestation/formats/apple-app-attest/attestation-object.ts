import { z } from 'zod'
import { parseCbor } from '../../cbor.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { derChildren, derTags, parseDer } from '../../x509/der.ts'
import { MAX_CERTIFICATE_BYTES, type ParsedCertificate, parseCertificate } from '../../x509/parse-certificate.ts'
import { type AttestedData, MAX_AUTHENTICATOR_DATA_BYTES, parseAttestedData } from './authenticator-data.ts'
import { byteString, membersOf } from './cbor-members.ts'

/** An attestation object that could be read. Nothing of it is verified. */
export interface AttestationObject {
  leaf: ParsedCertificate
  above: readonly ParsedCertificate[]
  /** In the certificate of the key, where it is there: 32 bytes. */
  nonce: Uint8Array | undefined
  data: AttestedData
}

/** Two certificates and a receipt are about 6000. */
export const MAX_ATTESTATION_BYTES = 16_384
const MIN_CHAIN = 2
const MAX_CHAIN = 4
const NONCE_EXTENSION = '1.2.840.113635.100.8.2'
const NONCE_BYTES = 32
/** `[1] EXPLICIT`. */
const NONCE_TAG = 0xa1

const structure = membersOf({
  fmt: z.literal('apple-appattest'),
  attStmt: membersOf({
    x5c: z.array(byteString(1, MAX_CERTIFICATE_BYTES)).min(MIN_CHAIN).max(MAX_CHAIN),
    // What Apple takes back for its figure of risk. It says nothing here that the certificate does not say.
    receipt: byteString(0, MAX_ATTESTATION_BYTES),
  }),
  authData: byteString(1, MAX_AUTHENTICATOR_DATA_BYTES),
})

/** What `attestKey` of DCAppAttestService gives. The receipt is not read. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAttestation(bytes: Uint8Array): AttestationObject {
  const { data } = structure.safeParse(parseCbor(bytes, { preferred: true }))
  if (data === undefined) throw malformedEvidence('The attestation has other members than one of App Attest.')
  const [leaf, ...above] = data.attStmt.x5c.map(parseCertificate) as [ParsedCertificate, ...ParsedCertificate[]]
  const extension = leaf.extensions.get(NONCE_EXTENSION)
  return { leaf, above, nonce: extension && parseNonce(extension), data: parseAttestedData(data.authData) }
}

/** SEQUENCE { [1] EXPLICIT OCTET STRING }. */
function parseNonce(extension: Uint8Array): Uint8Array {
  const [tagged] = derChildren(parseDer(extension, derTags.sequence), NONCE_TAG)
  const [{ content }] = derChildren(tagged, derTags.octetString)
  if (content.length !== NONCE_BYTES) throw malformedEvidence('The nonce in a certificate has another length than 32.')
  return content
}
