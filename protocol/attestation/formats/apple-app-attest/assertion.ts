import { parseCbor } from '../../cbor.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { type AuthenticatorData, MAX_AUTHENTICATOR_DATA_BYTES, parseAuthenticatorData } from './authenticator-data.ts'
import { byteString, membersOf } from './cbor-members.ts'

/** An assertion that could be read. Nothing of it is verified. */
export interface Assertion {
  /** ECDSA-Sig-Value in DER. */
  signature: Uint8Array
  data: AuthenticatorData
}

export const MAX_ASSERTION_BYTES = 2048
/** On P-256. */
const MAX_SIGNATURE_BYTES = 72

const structure = membersOf({
  signature: byteString(1, MAX_SIGNATURE_BYTES),
  authenticatorData: byteString(1, MAX_AUTHENTICATOR_DATA_BYTES),
})

/** What `generateAssertion` of DCAppAttestService gives. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAssertion(bytes: Uint8Array): Assertion {
  const { data } = structure.safeParse(parseCbor(bytes, { preferred: true }))
  if (data === undefined) throw malformedEvidence('The assertion has other members than one of App Attest.')
  return { signature: data.signature, data: parseAuthenticatorData(data.authenticatorData) }
}
