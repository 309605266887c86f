import { z } from 'zod'
import { timestamp, uuid } from './wire.ts'

/** Events of docs/api.md, "Who may not take part": what coordinators hear while they listen, as `text/event-stream`. */

/** Who gets no keys, and is refused everywhere. */
export const barredStatuses = ['QUARANTINED', 'SUSPENDED', 'REVOKED'] as const
export type BarredStatus = (typeof barredStatuses)[number]

/** Of one event; what is longer comes in several. */
export const SNAPSHOT_DEVICES = 500

/** Everybody who is barred when the listening begins. With `isLast` the list is whole. */
export const revocationSnapshot = z.strictObject({
  devices: z.array(z.strictObject({ deviceId: uuid, status: z.enum(barredStatuses) })).max(SNAPSHOT_DEVICES),
  isLast: z.boolean(),
})
export type RevocationSnapshot = z.output<typeof revocationSnapshot>

/** What became of a device; ACTIVE: it may take part again. The same may be said twice. */
export const revocationChange = z.strictObject({
  deviceId: uuid,
  status: z.enum([...barredStatuses, 'ACTIVE']),
  changedAt: timestamp,
})
export type RevocationChange = z.output<typeof revocationChange>

/** Why the service ends a stream; who listens begins anew behind the last id. */
export const streamEnd = z.strictObject({ reason: z.enum(['token_ended', 'too_slow', 'stopping']) })
export type StreamEnd = z.output<typeof streamEnd>
