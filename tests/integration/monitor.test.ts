import { describe, expect, test } from 'vitest'
import { listSignals } from '../../database/repositories/monitor.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { MAX_INCIDENT_EVENTS } from '../../protocol/monitor/incident.ts'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents } from '../support/audit.ts'
import { failedConfirmation, monitorPartsOf, quarantinedDevice, useMonitor } from '../support/monitor.ts'
import { makeTenant } from '../support/tenants.ts'

/** What the security monitor makes of the log. */

const monitor = useMonitor()
const failed = (deviceId: string, organization = monitor.organizationId) => failedConfirmation(organization, deviceId)

const quarantined = (deviceId: string, checks?: string[]) => quarantinedDevice(monitor.organizationId, deviceId, checks)

const scoreOf = async (deviceId: string): Promise<number | undefined> =>
  (await monitor.sql('select score from threat_score where device_id = $1', [deviceId])).rows[0]?.score

describe('an incident', () => {
  test('is opened when a rule counts as much as its threshold within its window, and not one fewer', async () => {
    const device = newId()
    await monitor.see(() => failed(device), 2)
    expect(await monitor.incidents()).toEqual([])
    expect(await monitor.see(() => failed(device), 1)).toBe(1)
    expect(await monitor.incidents()).toMatchObject([
      {
        rule: 'confirmations-failed',
        subject: `device ${device}`,
        severity: 'warning',
        count: 3,
        events: 3,
        devices: 1,
      },
    ])
    expect(await monitor.outbox('incident.opened')).toMatchObject([
      { actor: { type: 'service' }, subject: { deviceId: device }, data: { rule: 'confirmations-failed', count: 3 } },
    ])
  })

  test('is not opened by what is further apart, nor by several devices together', async () => {
    const device = newId()
    await monitor.see(() => failed(device), 6, 301)
    await monitor.see(() => failed(newId()), 6)
    expect(await monitor.incidents()).toEqual([])
  })

  test('is opened also by a burst that is read long after, with quiet behind it', async () => {
    const device = newId()
    const burst = monitor.series(() => failed(device), 3).map(({ draft, at }) => ({ draft, at: at - 7_200_000 }))
    await monitor.watch([...burst, ...monitor.series(() => failed(device), 1)])
    expect(await monitor.incidents()).toMatchObject([{ count: 4 }])
  })

  test('is one, whatever follows of the same, until somebody resolves it', async () => {
    const device = newId()
    await monitor.see(() => failed(device), 3)
    await monitor.see(() => failed(device), 4)
    expect(await monitor.incidents()).toMatchObject([{ status: 'OPEN', count: 7, events: 7 }])
    await monitor.sql(`update incident set status = 'RESOLVED', resolved_at = now()`)
    await monitor.see(() => failed(device), 2)
    expect(await monitor.incidents()).toHaveLength(1)
    await monitor.see(() => failed(device), 1)
    expect(await monitor.incidents()).toMatchObject([
      { status: 'RESOLVED', count: 7 },
      { status: 'OPEN', count: 3 },
    ])
  })

  test('of many devices that fail alike is one, and becomes critical with the fifth', async () => {
    await monitor.see(() => quarantined(newId()), 4)
    expect(await monitor.incidents()).toMatchObject([{ severity: 'warning', devices: 4 }])
    await monitor.see(() => quarantined(newId()), 196)
    expect(await monitor.incidents()).toMatchObject([{ severity: 'critical', devices: 200, count: 200 }])
    expect(await monitor.outbox('incident.escalated')).toMatchObject([{ data: { severity: 'critical', devices: 200 } }])
    await monitor.see(() => quarantined(newId(), ['tpm2.eventLog']), 1)
    expect(await monitor.incidents()).toHaveLength(2)
  })

  test('names no more entries than it has room for, and counts all', async () => {
    const device = newId()
    await monitor.see(() => failed(device), MAX_INCIDENT_EVENTS + 5, 0.01)
    expect(await monitor.incidents()).toMatchObject([{ count: MAX_INCIDENT_EVENTS + 5, events: MAX_INCIDENT_EVENTS }])
    await monitor.see(() => failed(device), 1)
    expect(await monitor.incidents()).toMatchObject([{ count: MAX_INCIDENT_EVENTS + 6, events: MAX_INCIDENT_EVENTS }])
  })

  /** As if so many had been counted before, one less than the threshold. */
  const countBefore = async (rule: string, subject: string, threshold: number, deviceId: string) => {
    await monitor.configure({ rules: { [rule]: { threshold, windowSeconds: 86_400 } } })
    await monitor.sql(
      `insert into monitor_signal (organization_id, rule, subject, index, event_id, at, count, device_id)
        select $1, $2, $3, -i, gen_random_uuid(), $4, 1, ${deviceId} from generate_series(2, $5::int) as i`,
      [monitor.organizationId, rule, subject, new Date(monitor.service.time.now), threshold],
    )
  }

  test('is opened for a whole fleet at once, however many devices that are', async () => {
    const fleet = 22_000
    await countBefore('attestation-failed', 'policy fleet@1: tpm2.pcrs', fleet, 'gen_random_uuid()')
    await monitor.see(() => quarantined(newId()), 1)
    expect(await monitor.incidents()).toMatchObject([{ severity: 'critical', count: fleet, devices: fleet }])
  })

  test('is looked for among what could be one: what is too little together is not read again', async () => {
    const [subject, rule] = [`device ${newId()}`, 'confirmations-failed']
    await countBefore(rule, subject, 101, `'${newId()}'`)
    const list = (atLeast: number) =>
      monitor.parts.database.withOrganization(monitor.organizationId, (tx) =>
        listSignals(tx, [{ rule, subject, atLeast }]),
      )
    expect(await list(100)).toHaveLength(100)
    expect(await list(101)).toEqual([])
  })

  test('is opened by the last of very many, where an organization wants as many', async () => {
    const [device, threshold] = [newId(), 130_000]
    await countBefore('confirmations-failed', `device ${device}`, threshold, `'${device}'`)
    await monitor.see(() => failed(device), 1)
    expect(await monitor.incidents()).toMatchObject([{ count: threshold, events: MAX_INCIDENT_EVENTS, devices: 1 }])
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
    await monitor.watch([{ draft, at: monitor.service.time.now }])
    expect(await monitor.incidents()).toMatchObject([
      { organization_id: NIL_UUID, rule: 'log-differs', severity: 'critical' },
    ])
  })
})

describe('the log is read', () => {
  test('once: neither a second look nor two at once count anything twice', async () => {
    const device = newId()
    await addEvents(
      monitor.service,
      monitor.series(() => failed(device), 3),
    )
    await monitor.service.log.sequence()
    const at = monitor.service.time.now
    await Promise.all([
      monitorEvents(monitor.parts, at),
      monitorEvents(monitorPartsOf(monitor.service), at),
      monitorEvents(monitor.parts, at),
    ])
    await monitorEvents(monitor.parts, at)
    expect(await monitor.incidents()).toMatchObject([{ count: 3 }])
    expect(await monitor.outbox('incident.opened')).toHaveLength(1)
    // Three of ten points each.
    expect(await scoreOf(device)).toBe(30)
  })

  test('from where a process that was killed had come, whichever of its commits was the last', async () => {
    const [device, other] = [newId(), await makeTenant(monitor.service, newId())]
    await monitor.watch()
    const before = (await monitor.sql('select next_index from monitor_state')).rows[0].next_index
    await monitor.watch([
      ...monitor.series(() => failed(device), 3),
      ...monitor.series(() => failed(newId(), other.organizationId), 3, 0),
    ])
    // As if it had ended before the last of its commits.
    await monitor.sql('update monitor_state set next_index = $1', [before])
    await monitor.watch()
    expect(await monitor.incidents()).toMatchObject([{ count: 3, events: 3 }])
    expect(await scoreOf(device)).toBe(30)
  })

  test('for everybody else, when what belongs to one organization cannot be judged, and for that one later', async () => {
    const other = await makeTenant(monitor.service, newId())
    const [device, fine] = [newId(), newId()]
    const { sql } = monitor.service.database
    await sql.query(
      `alter table incident add constraint hindered check (organization_id <> '${monitor.organizationId}')`,
    )
    const events = [
      ...monitor.series(() => failed(device), 3),
      ...monitor.series(() => failed(fine, other.organizationId), 3),
    ]
    await expect(monitor.watch(events)).rejects.toThrow('could not be judged')
    expect(await monitor.incidents()).toMatchObject([{ organization_id: other.organizationId, count: 3 }])
    await sql.query('alter table incident drop constraint hindered')
    await monitor.watch()
    expect(await monitor.incidents()).toMatchObject([{ count: 3 }, { count: 3 }])
  })

  test('for several organizations at once, each with all that is its own', async () => {
    const tenants = []
    for (let i = 0; i < 6; i++) tenants.push(await makeTenant(monitor.service, newId()))
    const events = tenants.flatMap(({ organizationId }, i) =>
      Array.from({ length: i + 1 }, () => newId()).flatMap((device) =>
        monitor.series(() => failed(device, organizationId), 3),
      ),
    )
    expect(await monitor.watch(events)).toBe(1 + 2 + 3 + 4 + 5 + 6)
    const owners = Map.groupBy(await monitor.incidents(), (incident) => incident.organization_id)
    expect(tenants.map(({ organizationId }) => owners.get(organizationId)?.length)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('by each organization for itself', async () => {
    const other = await makeTenant(monitor.service, newId())
    const device = newId()
    await monitor.watch([
      ...monitor.series(() => failed(device), 2),
      ...monitor.series(() => failed(device, other.organizationId), 2),
    ])
    expect(await monitor.incidents()).toEqual([])
    await monitor.see(() => failed(device, other.organizationId), 1)
    expect(await monitor.incidents()).toMatchObject([{ organization_id: other.organizationId, count: 3 }])
  })
})
