import { auditSeverities } from '../../protocol/log/audit-event-types.ts'
import type { EventFilter, IndexedEvent } from '../auditor.ts'
import type { Flags, Values } from './flags.ts'
import { idFlag, pointInTimeFlag } from './parse-values.ts'
import { toIsoTime } from './print.ts'

/** Which events: what is given must all hold. */
export const eventFilterFlags = {
  type: {
    type: 'string',
    value: 'TYPE',
    parse: (text: string) => (/^[a-z_]+\.[a-z_]+$/.test(text) ? text : undefined),
    expects: 'a type of event such as session.established',
    help: 'only those of this type: session.established, device.revoked … (audit-events.md lists them)',
  },
  severity: { type: 'string', value: 'SEVERITY', choices: auditSeverities, help: 'only those of this severity' },
  actor: { ...idFlag, expects: 'the id of who did it', help: 'only what this token, device or coordinator did' },
  device: { ...idFlag, expects: 'the id of a device', help: 'only those about this device' },
  since: { ...pointInTimeFlag, help: 'only those from then on: 2026-11-22, 2026-11-22T06:40:00Z, or 12h ago as 12h' },
  until: { ...pointInTimeFlag, help: 'only those before that time' },
} as const satisfies Flags

export function toEventFilter(values: Values<typeof eventFilterFlags>): EventFilter {
  const { type, severity, actor, device, since, until } = values
  return { type, severity, actor, device, from: since, to: until }
}

/** What a line about an event says, in the order of the columns. */
export const eventColumns = {
  ID: ({ event }: IndexedEvent) => event.id,
  TIME: ({ event }: IndexedEvent) => toIsoTime(event.at),
  INDEX: ({ index }: IndexedEvent) => String(index),
  SEVERITY: ({ event }: IndexedEvent) => event.severity,
  TYPE: ({ event }: IndexedEvent) => event.type,
  ACTOR: ({ event }: IndexedEvent) => actorText(event.actor),
  DEVICE: ({ event }: IndexedEvent) => textOf(event.subject['deviceId']),
}

export function actorText({ type, id }: { type: string; id: string }): string {
  return type === 'service' ? type : `${type} ${id}`
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
