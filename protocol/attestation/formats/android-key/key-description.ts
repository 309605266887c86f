import { malformedEvidence } from '../../evidence-format.ts'
import { derChildren, derTags, parseDer } from '../../x509/der.ts'
import { type AuthorizationList, parseAuthorizationList } from './authorization-list.ts'
import { readEnumerated, readNumber } from './values.ts'

/** The attestation extension of Android. */
export const ATTESTATION_EXTENSION = '1.3.6.1.4.1.11129.2.1.17'

export const securityLevels = ['software', 'trusted-environment', 'strongbox'] as const
export type SecurityLevel = (typeof securityLevels)[number]

/** What an attestation says of a key and of the device that made it. */
export interface KeyDescription {
  attestationVersion: number
  /** Of what signs the attestation, and of what holds the key. */
  attestationSecurityLevel: SecurityLevel
  keyMintVersion: number
  keyMintSecurityLevel: SecurityLevel
  challenge: Uint8Array
  /** What Android itself says. */
  softwareEnforced: AuthorizationList
  /** What the hardware says that holds the key. */
  hardwareEnforced: AuthorizationList
}

const MAX_CHALLENGE_BYTES = 128

/**
 * KeyDescription in strict DER. An id of the device that lasts (`uniqueId`) is malformed as in the lists: it is not asked for, and not
 * kept. Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseKeyDescription(der: Uint8Array): KeyDescription {
  const { sequence, integer, enumerated, octetString } = derTags
  const [version, level, keyMintVersion, keyMintLevel, challenge, uniqueId, software, hardware] = derChildren(
    parseDer(der, sequence, { longTags: true }),
    integer,
    enumerated,
    integer,
    enumerated,
    octetString,
    octetString,
    sequence,
    sequence,
  )
  if (challenge.content.length > MAX_CHALLENGE_BYTES) {
    throw malformedEvidence('An attestation has a challenge of more than 128 bytes.')
  }
  if (uniqueId.content.length > 0) throw malformedEvidence('An attestation has a unique id, which is not taken.')
  return {
    attestationVersion: readNumber(version),
    attestationSecurityLevel: readEnumerated(level, securityLevels),
    keyMintVersion: readNumber(keyMintVersion),
    keyMintSecurityLevel: readEnumerated(keyMintLevel, securityLevels),
    challenge: challenge.content,
    softwareEnforced: parseAuthorizationList(software),
    hardwareEnforced: parseAuthorizationList(hardware),
  }
}
