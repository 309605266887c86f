import type { AuditEventType } from '../log/audit-event-types.ts'
import {
  counted,
  ofActor,
  ofApiToken,
  ofCause,
  ofDevice,
  ofEnrollmentToken,
  ofKek,
  ofLog,
  type SignalSubject,
  type WatchedEvent,
} from './subjects.ts'

/**
 * How pressing an incident is: `notice` to be read in a review, `warning` to be looked at soon, `critical` to be looked at now. As the
 * severities of events, without `info`.
 */
export const incidentSeverities = ['notice', 'warning', 'critical'] as const
export type IncidentSeverity = (typeof incidentSeverities)[number]

/** What the service may do by itself with the device of an incident, until an operator undoes it. */
export const responseNames = ['none', 'slow', 'require_attestation', 'revoke_sessions', 'suspend'] as const
export type ResponseName = (typeof responseNames)[number]

/**
 * What the monitor remembers of each device: how often it exchanges (`rate`: hours are counted that are far above its hours before), and
 * where from (`networks`: those are counted that it has not come from within the window), and how often it signed with the identity key
 * that it has (`keyUses`: they are counted once, when they reach the threshold, however long that took).
 */
export type FollowedMatter = 'rate' | 'networks' | 'keyUses'

export interface MonitorRule {
  /** One sentence. */
  meaning: string
  types: readonly AuditEventType[]
  severity: IncidentSeverity
  /** An incident of so many devices is of this severity. */
  escalation?: { devices: number; severity: IncidentSeverity }
  /** An incident is opened when what was counted within the window is so much. */
  threshold: number
  windowSeconds: number
  /**
   * Whether the events prove that the device itself did it. What anybody on the network can cause in its name must never lead to more
   * than an alarm, or he could lock a fleet out with it.
   */
  isProved: boolean
  /** How much the threat score of the device rises with each that is counted. */
  score: number
  /** What is counted is not the events, but what they come to with those before of the same device. */
  follows?: FollowedMatter
  /** How often it happened in what the event tells; 0: it is not of this rule. Undefined: once. */
  count?: (event: WatchedEvent) => number
  subjectOf: (event: WatchedEvent) => SignalSubject | undefined
}

const MINUTE_S = 60
const HOUR_S = 3_600

/** Every rule of the security monitor. docs/incidents.md shows the same to people. */
export const monitorRules = {
  'attestation-failed': {
    meaning: 'Devices were quarantined because their evidence fails the same checks of the same policy.',
    types: ['device.quarantined'],
    severity: 'warning',
    escalation: { devices: 5, severity: 'critical' },
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: true,
    score: 40,
    subjectOf: ofCause,
  },
  'attestation-overdue': {
    meaning: 'A device has not attested for two intervals, again and again.',
    types: ['device.attestation_overdue'],
    severity: 'notice',
    threshold: 3,
    windowSeconds: 6 * HOUR_S,
    isProved: false,
    score: 5,
    subjectOf: ofDevice,
  },
  'enrollment-interfered': {
    meaning: 'A signature of an enrolment did not cover what the service gave: somebody may stand in between.',
    types: ['enrollment.mismatched'],
    severity: 'critical',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 0,
    subjectOf: ofEnrollmentToken,
  },
  'device-impersonated': {
    meaning: 'Somebody with the access token of a device acts without its identity key.',
    types: ['device.rotation_mismatched', 'device.attestation_mismatched'],
    severity: 'critical',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 30,
    subjectOf: ofDevice,
  },
  'confirmations-failed': {
    meaning: 'Sessions of a device are begun and confirmed wrongly: whoever begins them lacks the keys.',
    types: ['session.failed'],
    severity: 'warning',
    threshold: 3,
    windowSeconds: 10 * MINUTE_S,
    isProved: false,
    score: 10,
    subjectOf: ofDevice,
  },
  'sessions-contended': {
    meaning: 'Sessions of a device take over from each other far more often than one device needs: a clone, perhaps.',
    types: ['session.superseded'],
    severity: 'warning',
    threshold: 12,
    windowSeconds: 15 * MINUTE_S,
    isProved: true,
    score: 5,
    subjectOf: ofDevice,
  },
  'exchange-rate': {
    meaning: 'A device exchanges far more often than it used to.',
    types: ['session.opened'],
    severity: 'warning',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: true,
    score: 15,
    follows: 'rate',
    subjectOf: ofDevice,
  },
  'networks-changed': {
    meaning: 'Exchanges of a device come from many networks: several have its identity key, or it is on the move.',
    types: ['session.opened'],
    severity: 'notice',
    threshold: 8,
    windowSeconds: 6 * HOUR_S,
    isProved: false,
    score: 0,
    follows: 'networks',
    subjectOf: ofDevice,
  },
  'identity-key-worn': {
    meaning:
      'An identity key has signed as often as a key should: it wants to be rotated, or somebody else uses it too.',
    types: ['session.opened', 'device.attested', 'device.attestation_refused', 'device.identity_rotated'],
    severity: 'notice',
    // A device that attests every five minutes and exchanges twice an hour signs some 123,000 times a year.
    threshold: 250_000,
    windowSeconds: 24 * HOUR_S,
    isProved: true,
    score: 0,
    follows: 'keyUses',
    subjectOf: ofDevice,
  },
  'access-refused': {
    meaning: 'A caller asks again and again for what is not allowed to it.',
    types: ['access.refused'],
    severity: 'warning',
    threshold: 5,
    windowSeconds: 10 * MINUTE_S,
    isProved: true,
    score: 10,
    subjectOf: ofActor,
  },
  'ids-sought': {
    meaning: 'A caller asks for ids that nothing in its organization has: those of another, or guesses.',
    types: ['access.elsewhere'],
    severity: 'warning',
    threshold: 10,
    windowSeconds: 10 * MINUTE_S,
    isProved: true,
    score: 2,
    count: counted('count'),
    subjectOf: ofActor,
  },
  'exchanges-forged': {
    meaning: 'Exchanges come in the name of a device that its identity key did not sign.',
    types: ['exchange.refused'],
    severity: 'warning',
    threshold: 20,
    windowSeconds: 10 * MINUTE_S,
    isProved: false,
    score: 1,
    count: counted('signature'),
    subjectOf: ofDevice,
  },
  'messages-replayed': {
    meaning: 'Messages of a device come again: from a recording, or from a client with a defect.',
    types: ['exchange.refused'],
    severity: 'warning',
    threshold: 5,
    windowSeconds: 10 * MINUTE_S,
    isProved: false,
    score: 1,
    count: counted('replayed'),
    subjectOf: ofDevice,
  },
  'clock-astray': {
    meaning: 'Exchanges of a device come for buckets that are not open: its clock is wrong, most likely.',
    types: ['exchange.refused'],
    severity: 'notice',
    threshold: 20,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 0,
    count: counted('window'),
    subjectOf: ofDevice,
  },
  'barred-device-tries': {
    meaning: 'A device that is quarantined, suspended or revoked goes on trying.',
    types: ['exchange.refused'],
    severity: 'warning',
    threshold: 5,
    windowSeconds: 10 * MINUTE_S,
    isProved: false,
    score: 2,
    count: counted('inactive'),
    subjectOf: ofDevice,
  },
  'token-guessed': {
    meaning: 'Somebody who knows the id of an API token tries secrets for it.',
    types: ['api_token.refused'],
    severity: 'warning',
    threshold: 10,
    windowSeconds: 10 * MINUTE_S,
    isProved: false,
    score: 0,
    count: counted('secret'),
    subjectOf: ofApiToken,
  },
  'enrollment-token-reused': {
    meaning: 'An enrolment token that was used came again, with its secret: two have it.',
    types: ['enrollment_token.refused'],
    severity: 'critical',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 0,
    count: counted('used'),
    subjectOf: ofEnrollmentToken,
  },
  'log-differs': {
    meaning: 'The audit log is not what was signed, or something was put into its way.',
    types: ['audit_log.difference_found', 'audit_log.entry_refused', 'audit_log.checkpoint_lost'],
    severity: 'critical',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 0,
    subjectOf: ofLog,
  },
  'kek-overused': {
    meaning: 'A key-encryption key seals on past its budget: nobody makes its successor.',
    types: ['kek.overused'],
    severity: 'critical',
    threshold: 1,
    windowSeconds: HOUR_S,
    isProved: false,
    score: 0,
    subjectOf: ofKek,
  },
} as const satisfies Record<string, MonitorRule>

export type MonitorRuleName = keyof typeof monitorRules
export const monitorRuleNames = Object.keys(monitorRules) as MonitorRuleName[]

export function monitorRule(name: MonitorRuleName): MonitorRule {
  return monitorRules[name]
}

/** Whether a rule counts all that ever was, whatever its window. */
export function isOfLife({ follows }: Pick<MonitorRule, 'follows'>): boolean {
  return follows === 'keyUses'
}

/** What the monitor reads of the log. */
export const watchedEventTypes: readonly AuditEventType[] = [
  ...new Set(monitorRuleNames.flatMap((name) => monitorRules[name].types)),
]

/** Events are kept no longer for what may follow. */
export const LONGEST_WINDOW_SECONDS = 24 * HOUR_S
