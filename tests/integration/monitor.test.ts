import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { MAX_INCIDENT_EVENTS } from '../../protocol/monitor/incident.ts'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { type MonitorEventsParts, monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents, firstOrganization } from '../support/audit.ts'
import {
  failedConfirmation,
  forgetIncidents,
  monitorPartsOf,
  outboxEvents,
  quarantinedDevice,
  series,
  storedIncidents,
  watch,
} from '../support/monitor.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

/** What the security monitor makes of the log. */

let service: TestService
let parts: MonitorEventsParts
let organizationId: string

beforeAll(async () => {
  service = await startTestService()
  parts = monitorPartsOf(service)
  organizationId = await firstOrganization(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  await watch(service, parts)
  await forgetIncidents(service)
})

const failed = (deviceId: string, organization = organizationId) => failedConfirmation(organization, deviceId)

const quarantined = (deviceId: string, checks?: string[]) => quarantinedDevice(organizationId, deviceId, checks)

const scoreOf = async (deviceId: string): Promise<number | undefined> =>
  (await service.database.sql.query('select score from threat_score where device_id = $1', [deviceId])).rows[0]?.score

describe('an incident', () => {
  test('is opened when a rule counts as much as its threshold within its window, and not one fewer', async () => {
    const device = newId()
    await watch(
      service,
      parts,
      series(service, () => failed(device), 2),
    )
    expect(await storedIncidents(service)).toEqual([])
    expect(
      await watch(
        service,
        parts,
        series(service, () => failed(device), 1),
      ),
    ).toBe(1)
    expect(await storedIncidents(service)).toMatchObject([
      {
        rule: 'confirmations-failed',
        subject: `device ${device}`,
        severity: 'warning',
        count: 3,
        events: 3,
        devices: 1,
      },
    ])
    expect(await outboxEvents(service, 'incident.opened')).toMatchObject([
      { actor: { type: 'service' }, subject: { deviceId: device }, data: { rule: 'confirmations-failed', count: 3 } },
    ])
  })

  test('is not opened by what is further apart, nor by several devices together', async () => {
    const device = newId()
    await watch(
      service,
      parts,
      series(service, () => failed(device), 6, 301),
    )
    await watch(
      service,
      parts,
      series(service, () => failed(newId()), 6),
    )
    expect(await storedIncidents(service)).toEqual([])
  })

  test('is opened also by a burst that is read long after, with quiet behind it', async () => {
    const device = newId()
    const burst = series(service, () => failed(device), 3).map(({ draft, at }) => ({ draft, at: at - 7_200_000 }))
    await watch(service, parts, [...burst, ...series(service, () => failed(device), 1)])
    expect(await storedIncidents(service)).toMatchObject([{ count: 4 }])
  })

  test('is one, whatever follows of the same, until somebody resolves it', async () => {
    const device = newId()
    await watch(
      service,
      parts,
      series(service, () => failed(device), 3),
    )
    await watch(
      service,
      parts,
      series(service, () => failed(device), 4),
    )
    expect(await storedIncidents(service)).toMatchObject([{ status: 'OPEN', count: 7, events: 7 }])
    await service.database.sql.query(`update incident set status = 'RESOLVED', resolved_at = now()`)
    await watch(
      service,
      parts,
      series(service, () => failed(device), 2),
    )
    expect(await storedIncidents(service)).toHaveLength(1)
    await watch(
      service,
      parts,
      series(service, () => failed(device), 1),
    )
    expect(await storedIncidents(service)).toMatchObject([
      { status: 'RESOLVED', count: 7 },
      { status: 'OPEN', count: 3 },
    ])
  })

  test('of many devices that fail alike is one, and becomes critical with the fifth', async () => {
    await watch(
      service,
      parts,
      series(service, () => quarantined(newId()), 4),
    )
    expect(await storedIncidents(service)).toMatchObject([{ severity: 'warning', devices: 4 }])
    await watch(
      service,
      parts,
      series(service, () => quarantined(newId()), 196),
    )
    expect(await storedIncidents(service)).toMatchObject([{ severity: 'critical', devices: 200, count: 200 }])
    expect(await outboxEvents(service, 'incident.escalated')).toMatchObject([
      { data: { severity: 'critical', devices: 200 } },
    ])
    await watch(
      service,
      parts,
      series(service, () => quarantined(newId(), ['tpm2.eventLog']), 1),
    )
    expect(await storedIncidents(service)).toHaveLength(2)
  })

  test('names no more entries than it has room for, and counts all', async () => {
    const device = newId()
    await watch(
      service,
      parts,
      series(service, () => failed(device), MAX_INCIDENT_EVENTS + 5, 0.01),
    )
    expect(await storedIncidents(service)).toMatchObject([
      { count: MAX_INCIDENT_EVENTS + 5, events: MAX_INCIDENT_EVENTS },
    ])
    await watch(
      service,
      parts,
      series(service, () => failed(device), 1),
    )
    expect(await storedIncidents(service)).toMatchObject([
      { count: MAX_INCIDENT_EVENTS + 6, events: MAX_INCIDENT_EVENTS },
    ])
  })

  test('of the service itself belongs to the service', async () => {
    const draft: EventDraft = {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'audit_log.difference_found',
      subject: {},
      data: { logSize: 7, count: 1, index: 3, what: 'has another hash' },
      requestId: newId(),
    }
    await watch(service, parts, [{ draft, at: service.time.now }])
    expect(await storedIncidents(service)).toMatchObject([
      { organization_id: NIL_UUID, rule: 'log-differs', severity: 'critical' },
    ])
  })
})

describe('the log is read', () => {
  test('once: neither a second look nor two at once count anything twice', async () => {
    const device = newId()
    await addEvents(
      service,
      series(service, () => failed(device), 3),
    )
    await service.log.sequence()
    const at = service.time.now
    await Promise.all([monitorEvents(parts, at), monitorEvents(monitorPartsOf(service), at), monitorEvents(parts, at)])
    await monitorEvents(parts, at)
    expect(await storedIncidents(service)).toMatchObject([{ count: 3 }])
    expect(await outboxEvents(service, 'incident.opened')).toHaveLength(1)
    // Three of ten points each.
    expect(await scoreOf(device)).toBe(30)
  })

  test('from where a process that was killed had come, whichever of its commits was the last', async () => {
    const [device, other] = [newId(), await makeTenant(service, newId())]
    await watch(service, parts)
    const before = (await service.database.sql.query('select next_index from monitor_state')).rows[0].next_index
    await watch(service, parts, [
      ...series(service, () => failed(device), 3),
      ...series(service, () => failed(newId(), other.organizationId), 3, 0),
    ])
    // As if it had ended before the last of its commits.
    await service.database.sql.query('update monitor_state set next_index = $1', [before])
    await watch(service, parts)
    expect(await storedIncidents(service)).toMatchObject([{ count: 3, events: 3 }])
    expect(await scoreOf(device)).toBe(30)
  })

  test('for everybody else, when what belongs to one organization cannot be judged, and for that one later', async () => {
    const other = await makeTenant(service, newId())
    const [device, fine] = [newId(), newId()]
    const { sql } = service.database
    await sql.query(`alter table incident add constraint hindered check (organization_id <> '${organizationId}')`)
    const events = [
      ...series(service, () => failed(device), 3),
      ...series(service, () => failed(fine, other.organizationId), 3),
    ]
    await expect(watch(service, parts, events)).rejects.toThrow('could not be judged')
    expect(await storedIncidents(service)).toMatchObject([{ organization_id: other.organizationId, count: 3 }])
    await sql.query('alter table incident drop constraint hindered')
    await watch(service, parts)
    expect(await storedIncidents(service)).toMatchObject([{ count: 3 }, { count: 3 }])
  })

  test('by each organization for itself', async () => {
    const other = await makeTenant(service, newId())
    const device = newId()
    await watch(service, parts, [
      ...series(service, () => failed(device), 2),
      ...series(service, () => failed(device, other.organizationId), 2),
    ])
    expect(await storedIncidents(service)).toEqual([])
    await watch(
      service,
      parts,
      series(service, () => failed(device, other.organizationId), 1),
    )
    expect(await storedIncidents(service)).toMatchObject([{ organization_id: other.organizationId, count: 3 }])
  })
})
