import { createEventWriter } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { crypto, type TestService } from './service.ts'

const ROWS_AT_ONCE = 5_000

/**
 * Brings `count` events of an organization into the log, by the outbox and the sequencer that every event goes through. Their
 * devices are nobody's.
 */
export async function fillLog(service: TestService, organizationId: string, count: number): Promise<void> {
  const writeEvent = createEventWriter(crypto)
  for (let start = 0; start < count; start += ROWS_AT_ONCE) {
    const rows = Array.from({ length: Math.min(ROWS_AT_ONCE, count - start) }, () => {
      const deviceId = newId()
      const actor = { type: 'device', id: deviceId } as const
      const happened = { type: 'session.established', subject: { deviceId, sessionId: newId() }, data: {} } as const
      return writeEvent({ organizationId, actor, requestId: newId(), ...happened }, service.time.now)
    })
    await service.database.sql.query(
      `insert into audit_outbox (organization_id, event_id, entry)
        select $1, event_id, entry from unnest($2::uuid[], $3::text[]) as t (event_id, entry)`,
      [organizationId, rows.map(({ eventId }) => eventId), rows.map(({ entry }) => entry)],
    )
  }
  await service.log.sequence()
}
