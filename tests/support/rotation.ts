import { createEventWriter } from '../../runtime/audit-events.ts'
import type { RotationTimes } from '../../runtime/rotation-setting.ts'
import { type RotateSigningKeysParts, rotateSigningKeys } from '../../workers/jobs/rotate-signing-keys.ts'
import { crypto, type TestService } from './service.ts'

export const MINUTE_MS = 60_000
export const DAY_MS = 24 * 60 * MINUTE_MS

/** The defaults of the service. */
export const times: RotationTimes = {
  signingKeyAge: { bucket: 90 * DAY_MS, attestation: 90 * DAY_MS, audit: 365 * DAY_MS },
  overlap: { bucket: 60 * MINUTE_MS, attestation: 60 * MINUTE_MS, audit: DAY_MS },
  kekAge: 365 * DAY_MS,
}
/** Every key reaches its age on the same day, the overlaps differ. */
export const sameAge: RotationTimes = {
  ...times,
  signingKeyAge: { bucket: 90 * DAY_MS, attestation: 90 * DAY_MS, audit: 90 * DAY_MS },
}

/** What the job of one worker process works with, over a connection of its own. */
export function rotationParts(
  service: TestService,
  more: Partial<RotateSigningKeysParts> = {},
): RotateSigningKeysParts {
  return {
    database: service.database.open('qflare_worker', 1),
    keyring: service.serviceKeys.keyring,
    crypto,
    writeEvent: createEventWriter(crypto),
    rotation: times,
    ...more,
  }
}

/** Runs the job at the service's time, as a worker that no other process hears from but through the database. */
export const rotate = (service: TestService, parts = rotationParts(service)) =>
  rotateSigningKeys(parts, service.time.now)

/** Moves the service's clock, and lets the schedule and every process do what is due by then. */
export async function pass(service: TestService, ms: number): Promise<void> {
  service.time.now += ms
  await service.serviceKeys.refresh()
  await service.tick()
}

export interface StoredKey {
  kid: string
  use: string
  alg: string
  status: string
  hasSeed: boolean
  notAfter: number
}

/** The oldest first. */
export async function storedKeys(service: TestService, use: string): Promise<StoredKey[]> {
  const { rows } = await service.database.sql.query(
    `select kid, key_use as use, alg, status, sealed_seed is not null as "hasSeed",
        (extract(epoch from not_after) * 1000)::float8 as "notAfter"
      from signing_key where key_use = $1 order by published_at, alg`,
    [use],
  )
  return rows
}

export async function countBundles(service: TestService): Promise<number> {
  const { rows } = await service.database.sql.query('select count(*)::int as count from trust_bundle')
  return rows[0].count
}

/** Of the outbox and the log. */
export async function keyEvents(
  service: TestService,
): Promise<{ type: string; kid: string; data: Record<string, unknown> }[]> {
  const { rows } = await service.database.sql.query(
    `select entry::jsonb as event from audit_outbox where entry like '%signing_key.%'
      union all select entry::jsonb from audit_entry where type like 'signing_key.%'`,
  )
  return rows.map(({ event }) => ({ type: event.type, kid: event.subject.kid, data: event.data }))
}
