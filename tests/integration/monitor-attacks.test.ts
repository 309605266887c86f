import { describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/encoding.ts'
import { MAX_LIVE_INCIDENTS, OTHERS } from '../../protocol/monitor/incident.ts'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { call } from '../support/api.ts'
import { addEvents } from '../support/audit.ts'
import { failedConfirmation, quarantinedDevice, refusedAccess, useMonitor } from '../support/monitor.ts'
import { enterService } from '../support/rounds.ts'

/** What somebody does against the monitor itself: to stop it, to have it do too much, to hide behind what it says. */

const monitor = useMonitor()
const failed = (deviceId: string) => failedConfirmation(monitor.organizationId, deviceId)
const refused = (deviceId: string) => refusedAccess(monitor.organizationId, deviceId)
const position = async () => (await monitor.sql('select next_index from monitor_state')).rows[0].next_index

describe('entries that no release wrote', () => {
  /** As whoever writes to the outbox could, or a release to come. */
  const odd = (changes: Record<string, Json>): EventDraft => ({ ...failed(newId()), ...changes }) as EventDraft
  const ofExchange = { type: 'exchange.refused', subject: { deviceId: newId() } }

  test.each<[string, Record<string, Json>]>([
    ['a device that is no id', { subject: { deviceId: 'everybody' } }],
    ['no subject', { subject: null }],
    ['no data', { type: 'exchange.refused', data: null }],
    ['no actor', { type: 'access.refused', actor: null }],
    ['an actor that is no id', { type: 'access.refused', actor: { type: 'device', id: 'x'.repeat(1_000) } }],
    ['a fraction as a count', { ...ofExchange, data: { signature: 20.5 } }],
    ['a count without measure', { ...ofExchange, data: { signature: 1e300 } }],
    [
      'a cause that no database stores',
      { type: 'device.quarantined', subject: { deviceId: newId() }, data: { policyId: 'a\u0000b', checks: [] } },
    ],
    [
      'checks that are none',
      { type: 'device.quarantined', subject: { deviceId: newId() }, data: { policyId: 'a@1', checks: [{}, null, 7] } },
    ],
    ['a network that is none', { type: 'session.opened', subject: { deviceId: newId() }, data: { network: ['x'] } }],
  ])('as one with %s stop nothing: what comes with them and after them is found', async (_what, changes) => {
    const device = newId()
    const at = monitor.service.time.now
    await monitor.watch([
      ...monitor.series(() => failed(device), 2),
      { draft: odd(changes), at },
      ...monitor.series(() => failed(device), 1),
    ])
    expect((await monitor.incidents()).filter(({ subject }) => subject === `device ${device}`)).toMatchObject([
      { rule: 'confirmations-failed', count: 3 },
    ])
    expect(await position()).toBe(
      (await monitor.sql('select published_size from audit_log_state')).rows[0].published_size,
    )
  })

  test('as counts that add up to more than a number holds, stop nothing', async () => {
    const at = monitor.service.time.now
    const draft = () => ({
      ...odd({ ...ofExchange, data: { signature: Number.MAX_SAFE_INTEGER } }),
      requestId: newId(),
    })
    await monitor.watch(Array.from({ length: 1_100 }, () => ({ draft: draft(), at })))
    const device = newId()
    await monitor.see(() => failed(device), 3)
    expect(await monitor.incidents()).toHaveLength(2)
  })
})

test('what could not be judged is not lost when what follows it can be', async () => {
  const [device, other] = [newId(), newId()]
  const failures = [device, other].flatMap((id) => monitor.series(() => failed(id), 3))
  await addEvents(monitor.service, failures)
  await monitor.service.log.sequence()
  const inTwo = { ...monitor.parts, span: 3 }
  await monitor.sql(`alter table incident add constraint hindered check (subject <> 'device ${device}')`)
  await expect(monitorEvents(inTwo, monitor.service.time.now)).rejects.toThrow('could not be judged')
  await monitor.sql('alter table incident drop constraint hindered')
  await monitor.watch()
  expect((await monitor.incidents()).map(({ subject }) => subject).toSorted()).toEqual(
    [device, other].map((id) => `device ${id}`).toSorted(),
  )
})

test('a device whose score is of months ago stops neither the monitor nor who looks at the scores', async () => {
  const [device, another] = [newId(), newId()]
  const longAgo = new Date(monitor.service.time.now - 90 * 86_400_000)
  for (const id of [device, another]) {
    await monitor.sql('insert into threat_score values ($1, $2, 1000, $3)', [monitor.organizationId, id, longAgo])
  }
  const token = monitor.service.adminToken
  expect((await call(monitor.service, 'GET', '/v1/threat-scores', { token })).body.items).toEqual([])
  await monitor.see(() => failed(device), 3, 0)
  expect((await call(monitor.service, 'GET', '/v1/threat-scores', { token })).body.items).toMatchObject([
    { deviceId: device, score: 30 },
  ])
})

test('one device uses up the responses of one, however many incidents it is in', async () => {
  await monitor.configure({
    responsesPerHour: 2,
    rules: {
      'access-refused': { response: 'slow' },
      'sessions-contended': { response: 'slow' },
      'attestation-failed': { response: 'require_attestation' },
    },
  })
  const [loud, quiet, third] = [
    (await enterService(monitor.service)).deviceId,
    (await enterService(monitor.service)).deviceId,
    (await enterService(monitor.service)).deviceId,
  ]
  const superseded = (deviceId: string) =>
    ({ ...failed(deviceId), type: 'session.superseded', data: { by: newId() } }) as EventDraft
  await monitor.watch([
    ...monitor.series(() => refused(loud), 5),
    ...monitor.series(() => superseded(loud), 12),
    ...monitor.series(() => quarantinedDevice(monitor.organizationId, loud), 1),
  ])
  await monitor.watch([...monitor.series(() => refused(quiet), 5), ...monitor.series(() => refused(third), 5)])
  const { rows } = await monitor.sql('select device_id, response, withheld from incident_device')
  const of = (id: string): string[] =>
    rows.filter(({ device_id }) => device_id === id).map(({ response, withheld }) => response ?? withheld)
  expect(of(loud).toSorted()).toEqual(['require_attestation', 'slow', 'slow'])
  expect([...of(quiet), ...of(third)].toSorted()).toEqual(['limit', 'slow'])
})

describe('many alike', () => {
  const flood = (devices: readonly string[]) => devices.flatMap((id) => monitor.series(() => failed(id), 3))
  const ofMany = async () => (await monitor.incidents()).filter(({ subject }) => subject === OTHERS)

  test('are as many incidents as somebody can look at, and one more that holds all others', async () => {
    const devices = Array.from({ length: 60 }, () => newId())
    await monitor.watch(flood(devices.slice(0, 50)))
    expect(await monitor.incidents()).toHaveLength(MAX_LIVE_INCIDENTS + 1)
    expect(await ofMany()).toMatchObject([{ devices: 30, count: 90, events: 90, severity: 'warning' }])
    await monitor.watch(flood(devices.slice(50)))
    expect(await monitor.incidents()).toHaveLength(MAX_LIVE_INCIDENTS + 1)
    expect(await ofMany()).toMatchObject([{ devices: 40, count: 120, status: 'OPEN' }])
    const { rows } = await monitor.sql('select count(distinct device_id)::int as count from incident_device')
    expect(rows).toEqual([{ count: 60 }])
    const [own] = (await monitor.incidents()).filter(({ subject }) => subject !== OTHERS)
    await monitor.sql(`update incident set status = 'RESOLVED', resolved_at = now() where id = $1`, [own?.id])
    // There is room again.
    const next = newId()
    await monitor.watch(flood([next]))
    expect(await monitor.incidents()).toContainEqual(expect.objectContaining({ subject: `device ${next}`, count: 3 }))
  })

  test('hide nothing of another rule, nor keep the service from responding to one of them', async () => {
    await monitor.configure({ rules: { 'access-refused': { response: 'slow' } } })
    const { deviceId } = await enterService(monitor.service)
    const decoys = Array.from({ length: MAX_LIVE_INCIDENTS }, () => newId())
    await monitor.watch(decoys.flatMap((id) => monitor.series(() => refused(id), 5)))
    await monitor.see(() => refused(deviceId), 5)
    await monitor.see(() => failed(deviceId), 3)
    expect(await ofMany()).toMatchObject([{ rule: 'access-refused', devices: 1 }])
    expect(await monitor.incidents()).toContainEqual(
      expect.objectContaining({ rule: 'confirmations-failed', subject: `device ${deviceId}` }),
    )
    const { rows } = await monitor.sql(
      'select response from incident_device where device_id = $1 and response is not null',
      [deviceId],
    )
    expect(rows).toEqual([{ response: 'slow' }])
  })
})
