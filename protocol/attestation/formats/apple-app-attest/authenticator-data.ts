import { printable } from '../../../wire.ts'
import { parseCbor } from '../../cbor.ts'
import { malformedEvidence } from '../../evidence-format.ts'
import { byteString, membersAmong } from './cbor-members.ts'

/** What both kinds of evidence sign (WebAuthn §6.1, as Apple writes it). Nothing of it is verified. */
export interface AuthenticatorData {
  bytes: Uint8Array
  /** SHA-256 of the App ID, 32 bytes. */
  appIdHash: Uint8Array
  counter: number
  extensions: Extensions
}

/** Of a key that is attested. */
export interface AttestedData extends AuthenticatorData {
  /** 16 bytes. */
  aaguid: Uint8Array
  /** 32 bytes. */
  credentialId: Uint8Array
  /** COSE_Key, 77 bytes. */
  credentialKey: Uint8Array
}

/** Null where the system does not say it, as none before iOS 27 does. */
export type Extensions = {
  /** How the app that was started is signed, by number. */
  launchCategory: number | null
  bundleVersion: string | null
}

/** Hash, flags, counter. */
const HEADER_BYTES = 37
const COUNTER_AT = 33
const AAGUID_BYTES = 16
const CREDENTIAL_ID_BYTES = 32
/** In front of the credential id, its length. */
const CREDENTIAL_ID_AT = HEADER_BYTES + AAGUID_BYTES + 2
const CREDENTIAL_KEY_AT = CREDENTIAL_ID_AT + CREDENTIAL_ID_BYTES
/** {1: 2, 3: -7, -1: 1, -2: x, -3: y}, in the one form that it has. */
const CREDENTIAL_KEY_BYTES = 77
const ATTESTED_BYTES = CREDENTIAL_KEY_AT + CREDENTIAL_KEY_BYTES

/** Looked at by whoever reads what it is in. */
export const MAX_AUTHENTICATOR_DATA_BYTES = 1024

/** Of an assertion. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAuthenticatorData(bytes: Uint8Array): AuthenticatorData {
  return parseHeader(bytes, HEADER_BYTES)
}

/** Of an attestation. Attacker-controlled input. Throws `evidence_malformed`. */
export function parseAttestedData(bytes: Uint8Array): AttestedData {
  const data = parseHeader(bytes, ATTESTED_BYTES)
  if (Buffer.from(bytes).readUInt16BE(CREDENTIAL_ID_AT - 2) !== CREDENTIAL_ID_BYTES) {
    throw malformedEvidence('The id of the credential has another length than 32 bytes.')
  }
  return {
    ...data,
    aaguid: bytes.subarray(HEADER_BYTES, HEADER_BYTES + AAGUID_BYTES),
    credentialId: bytes.subarray(CREDENTIAL_ID_AT, CREDENTIAL_KEY_AT),
    credentialKey: bytes.subarray(CREDENTIAL_KEY_AT, ATTESTED_BYTES),
  }
}

/**
 * The extensions begin at `extensionsAt`. The flags are not looked at: Apple says that a credential is attested in assertions too, which
 * have none, and that there are no extensions where there are some.
 */
function parseHeader(bytes: Uint8Array, extensionsAt: number): AuthenticatorData {
  if (bytes.length < extensionsAt) throw malformedEvidence('The authenticator data are too short.')
  return {
    bytes,
    appIdHash: bytes.subarray(0, 32),
    counter: Buffer.from(bytes).readUInt32BE(COUNTER_AT),
    extensions: parseExtensions(bytes.subarray(extensionsAt)),
  }
}

/** The decoder puts a replacement character where bytes are no UTF-8. */
const version = printable.max(64).refine((text) => !text.includes('\ufffd'))
const known = membersAmong({
  // In little-endian order, other than all else.
  apple_validation_category_01: byteString(4, 4)
    .transform((bytes) => Buffer.from(bytes).readUInt32LE())
    .optional(),
  apple_bundle_version_01: version.optional(),
})

/** What is not known of them is ignored: Apple adds to them. */
function parseExtensions(bytes: Uint8Array): Extensions {
  if (bytes.length === 0) return { launchCategory: null, bundleVersion: null }
  const { data } = known.safeParse(parseCbor(bytes, { preferred: false }))
  if (data === undefined) throw malformedEvidence('The extensions of the authenticator data are none.')
  const { apple_validation_category_01: launchCategory = null, apple_bundle_version_01: bundleVersion = null } = data
  return { launchCategory, bundleVersion }
}
