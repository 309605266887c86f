import type { Json } from '../encoding.ts'
import { attestationEventTypes } from './attestation-event-types.ts'
import { federationEventTypes } from './federation-event-types.ts'
import { incidentEventTypes } from './incident-event-types.ts'
import { keyEventTypes } from './key-event-types.ts'
import { refusalEventTypes } from './refusal-event-types.ts'
import { sessionEventTypes } from './session-event-types.ts'

/**
 * What an event asks of a person: `info` nothing, a working service does this all day; `notice` to be read in a review; `warning`
 * to be looked at soon; `critical` to be looked at now, somebody may be attacking or evidence may be lost.
 */
export const auditSeverities = ['info', 'notice', 'warning', 'critical'] as const
export type AuditSeverity = (typeof auditSeverities)[number]

interface AuditEventShape {
  severity: AuditSeverity
  /** One sentence. */
  meaning: string
  /** What it happened to: names of members; one that ends in `?` may be missing. */
  subject: readonly string[]
  /** The same of what else is to be known. */
  data: readonly string[]
}

/** Every type of event there is. docs/audit-events.md shows the same to people. */
export const auditEventTypes = {
  'service.initialized': {
    severity: 'notice',
    meaning: 'The service made its keys and its first trust bundle.',
    subject: ['trustDomain', 'trustSequence'],
    data: ['keys'],
  },
  'service.restored': {
    severity: 'warning',
    meaning: 'The database was restored from a backup; what came after the backup is gone from it.',
    subject: ['rootKid'],
    data: ['backupAt', 'qflareVersion', 'trustSequence'],
  },
  'audit_log.checkpoint_lost': {
    severity: 'critical',
    meaning: 'An operator accepted that the file with the newest checkpoint was missing.',
    subject: [],
    data: ['logSize'],
  },
  'audit_log.entry_refused': {
    severity: 'critical',
    meaning: 'A row in the outbox was no event of this service, and was not logged.',
    subject: ['eventId', 'organizationId'],
    data: ['reason', 'entryHash'],
  },
  'audit_log.entries_removed': {
    severity: 'notice',
    meaning: 'The bodies of old entries were removed, as the retention says; their hashes stay.',
    subject: [],
    data: ['fromIndex', 'toIndex', 'newestAt'],
  },
  'audit_log.difference_found': {
    severity: 'critical',
    meaning:
      'The nightly reading of the whole log found that it is not what was signed; the first difference of so many.',
    subject: [],
    data: ['logSize', 'count', 'index', 'what'],
  },
  ...refusalEventTypes,
  'job.run_requested': {
    severity: 'notice',
    meaning: 'An administrator of the service had a job run once, besides its schedule.',
    subject: ['job', 'runId'],
    data: [],
  },
  'job.retry_requested': {
    severity: 'notice',
    meaning: 'An administrator of the service had a run that was kept as failed run again.',
    subject: ['job', 'runId'],
    data: [],
  },
  'organization.created': {
    severity: 'notice',
    meaning: 'An organization was made, with its first admin token.',
    subject: ['organizationId', 'apiTokenId'],
    data: ['organization', 'roles'],
  },
  'api_token.created': {
    severity: 'notice',
    meaning: 'An admin made an API token.',
    subject: ['apiTokenId'],
    data: ['name', 'roles', 'expiresAt'],
  },
  'api_token.ending': {
    severity: 'notice',
    meaning: 'An API token ends within two weeks; once a token, of those that were made to live for more than four.',
    subject: ['apiTokenId'],
    data: ['name', 'expiresAt'],
  },
  'api_token.revoked': {
    severity: 'notice',
    meaning: 'An API token was revoked, by an admin or with the recovery of another.',
    subject: ['apiTokenId'],
    data: ['with'],
  },
  'api_token.recovered': {
    severity: 'warning',
    meaning: 'Whoever has the machine made an admin token, and revoked all others if that was asked for.',
    subject: ['apiTokenId'],
    data: ['revokedCount'],
  },
  'policy.created': {
    severity: 'notice',
    meaning: 'An operator wrote a version of an appraisal policy.',
    subject: ['policyId'],
    data: ['policyHash'],
  },
  'enrollment_token.created': {
    severity: 'info',
    meaning: 'An operator made an enrolment token, on these terms.',
    subject: ['enrollmentTokenId'],
    data: ['kind', 'name', 'type', 'capabilities', 'policyId', 'expiresAt'],
  },
  'enrollment_token.revoked': {
    severity: 'notice',
    meaning: 'An operator revoked an enrolment token that was not used.',
    subject: ['enrollmentTokenId'],
    data: [],
  },
  'enrollment_tokens.pruned': {
    severity: 'info',
    meaning: 'Enrolment tokens of the organization that nobody had used were deleted, long after their end.',
    subject: [],
    data: ['endedBefore', 'tokens'],
  },
  'enrollment.challenged': {
    severity: 'info',
    meaning: 'Somebody with the enrolment token was given a challenge, which ends the one before.',
    subject: ['enrollmentTokenId'],
    data: ['expiresAt', 'trustSequence'],
  },
  'enrollment.refused': {
    severity: 'warning',
    meaning: 'Somebody who knew the challenge was refused, and the challenge is spent.',
    subject: ['enrollmentTokenId'],
    data: ['code'],
  },
  'enrollment.mismatched': {
    severity: 'critical',
    meaning:
      'A signature did not cover what this server gave: somebody may stand between it and the device; once a challenge.',
    subject: ['enrollmentTokenId'],
    data: ['code'],
  },
  'device.enrolled': {
    severity: 'info',
    meaning: 'A device or coordinator enrolled; its enrolment token is used.',
    subject: ['deviceId', 'enrollmentTokenId'],
    data: ['kind', 'name', 'kid', 'alg', 'tier', 'policyId'],
  },
  'device.rotation_challenged': {
    severity: 'info',
    meaning: 'A device asked to replace its identity key and was given a challenge.',
    subject: ['deviceId'],
    data: ['kid', 'expiresAt'],
  },
  'device.rotation_refused': {
    severity: 'warning',
    meaning: 'The old identity key signed for a new one that was refused, and the challenge is spent.',
    subject: ['deviceId'],
    data: ['kid', 'code'],
  },
  'device.rotation_mismatched': {
    severity: 'critical',
    meaning:
      'Somebody answered the challenge of a rotation without the signature of the old identity key; once a challenge.',
    subject: ['deviceId'],
    data: ['kid', 'code'],
  },
  'device.identity_rotated': {
    severity: 'notice',
    meaning: 'A device replaced its identity key; its sessions and attestation results ended with the old one.',
    subject: ['deviceId'],
    data: ['oldKid', 'kid', 'alg', 'tier', 'policyId', 'sessions'],
  },
  'device.identity_due': {
    severity: 'notice',
    meaning: 'The identity key of a device is older than the service wants it to be; once a key.',
    subject: ['deviceId'],
    data: ['kid', 'alg', 'since'],
  },
  'device.changed': {
    severity: 'info',
    meaning: 'What is known of a device was changed; values are named but for those of the metadata.',
    subject: ['deviceId'],
    data: ['members', 'name?', 'type?', 'capabilities?'],
  },
  'device.suspended': {
    severity: 'notice',
    meaning: 'An operator, or the service for an incident, suspended a device, with its sessions.',
    subject: ['deviceId'],
    data: ['sessions'],
  },
  'device.resumed': {
    severity: 'notice',
    meaning: 'An operator let a suspended device exchange again.',
    subject: ['deviceId'],
    data: [],
  },
  'device.revoked': {
    severity: 'notice',
    meaning: 'An operator revoked a device for good, with its keys and sessions.',
    subject: ['deviceId'],
    data: ['sessions'],
  },
  ...sessionEventTypes,
  ...attestationEventTypes,
  ...federationEventTypes,
  'sessions.pruned': {
    severity: 'notice',
    meaning: 'The rows of all sessions of a day were dropped, as the retention says; their events stay.',
    subject: [],
    data: ['day', 'sessions'],
  },
  ...incidentEventTypes,
  ...keyEventTypes,
  'temporal_key.made': {
    severity: 'info',
    meaning: 'The schedule made an epoch or bucket key.',
    subject: ['kind', 'number', 'generation'],
    data: ['recordHash'],
  },
  'temporal_key.destroyed': {
    severity: 'info',
    meaning: 'An epoch or bucket key is gone, as the schedule says.',
    subject: ['kind', 'number', 'generation'],
    data: ['recordHash', 'how', 'sessions?', 'countedAt?'],
  },
  'temporal_key.unknown_destroyed': {
    severity: 'notice',
    meaning:
      'A key was destroyed that this database does not know, or knows as destroyed: after a crash or a restore, or put there by somebody.',
    subject: ['kind', 'number', 'generation'],
    data: ['recordHash', 'how'],
  },
} as const satisfies Record<string, AuditEventShape>

export type AuditEventType = keyof typeof auditEventTypes

/** What an event of a type happened to. */
export type AuditSubject<T extends AuditEventType> = Members<(typeof auditEventTypes)[T]['subject'][number]>
/** What else an event of a type says. */
export type AuditData<T extends AuditEventType> = Members<(typeof auditEventTypes)[T]['data'][number]>

/** Without names an object without members, which `{}` would not be. */
type Members<Name extends string> = [Name] extends [never]
  ? Record<string, never>
  : { [N in Name as N extends `${string}?` ? never : N]: Json } & {
      [N in Name as N extends `${infer Optional}?` ? Optional : never]?: Json
    }
