import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { lockPrincipal } from '../../database/repositories/principals.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { call } from '../support/api.ts'
import { addEvents } from '../support/audit.ts'
import { failedConfirmation, refusedAccess, useMonitor } from '../support/monitor.ts'
import { enterService } from '../support/rounds.ts'

/** What the service does by itself with a device of an incident, and what it never does. */

const monitor = useMonitor()
const refused = (deviceId: string) => refusedAccess(monitor.organizationId, deviceId)
const statusOf = async (deviceId: string) =>
  (await monitor.sql('select status from principal where id = $1', [deviceId])).rows[0].status
const responsesTo = async (deviceId: string) =>
  (await monitor.sql('select response, withheld from incident_device where device_id = $1', [deviceId])).rows

test('suspends a device with its sessions, tells of it, and does not overrule who resumes it', async () => {
  await monitor.configure({ rules: { 'access-refused': { response: 'suspend' } } })
  const { deviceId } = await enterService(monitor.service)
  await monitor.see(() => refused(deviceId), 5)
  expect(await statusOf(deviceId)).toBe('SUSPENDED')
  expect(await monitor.outbox('incident.responded')).toContainEqual(
    expect.objectContaining({ data: { rule: 'access-refused', response: 'suspend', sessions: 1 } }),
  )
  const { rows } = await monitor.sql('select state from session where principal_id = $1', [deviceId])
  expect(rows).toEqual([{ state: 'REVOKED' }])
  await monitor.sql(`update principal set status = 'ACTIVE' where id = $1`, [deviceId])
  await monitor.see(() => refused(deviceId), 5)
  expect(await statusOf(deviceId)).toBe('ACTIVE')
})

test('ends sessions where that is asked for, and leaves the device ACTIVE', async () => {
  await monitor.configure({ rules: { 'access-refused': { response: 'revoke_sessions' } } })
  const { deviceId } = await enterService(monitor.service)
  await monitor.see(() => refused(deviceId), 5)
  expect(await statusOf(deviceId)).toBe('ACTIVE')
  const { rows } = await monitor.sql(
    'select active_session_id as active, (select count(*)::int from session s where s.principal_id = p.id and s.chains is not null) as open from principal p where id = $1',
    [deviceId],
  )
  expect(rows).toEqual([{ active: null, open: 0 }])
})

test('is an alarm alone for more devices than may be responded to within an hour', async () => {
  await monitor.configure({
    responsesPerHour: 2,
    rules: { 'access-refused': { response: 'suspend' } },
  })
  const devices = []
  for (let i = 0; i < 4; i++) devices.push((await enterService(monitor.service)).deviceId)
  await monitor.watch(devices.flatMap((deviceId) => monitor.series(() => refused(deviceId), 5)))
  const statuses = []
  for (const deviceId of devices) statuses.push(await statusOf(deviceId))
  expect(statuses.filter((status) => status === 'SUSPENDED')).toHaveLength(2)
  expect(await monitor.incidents()).toHaveLength(4)
  const withheld = []
  for (const deviceId of devices) withheld.push(...(await responsesTo(deviceId)).map((row) => row.withheld))
  expect(withheld.filter((because) => because === 'limit')).toHaveLength(2)
})

test('is told of and not taken in a dry run', async () => {
  await monitor.configure({
    dryRun: true,
    rules: { 'access-refused': { response: 'suspend' } },
  })
  const { deviceId } = await enterService(monitor.service)
  await monitor.see(() => refused(deviceId), 5)
  expect([await statusOf(deviceId), await responsesTo(deviceId)]).toEqual([
    'ACTIVE',
    [{ response: null, withheld: 'dry_run' }],
  ])
  expect(await monitor.outbox('incident.response_withheld')).toContainEqual(
    expect.objectContaining({ data: { rule: 'access-refused', response: 'suspend', because: 'dry_run' } }),
  )
})

test('is never led to by what anybody on the network can cause, whatever the database says', async () => {
  await monitor.configure({ rules: { 'confirmations-failed': { response: 'suspend' } } })
  const { deviceId } = await enterService(monitor.service)
  await monitor.see(() => failedConfirmation(monitor.organizationId, deviceId), 5)
  expect([await statusOf(deviceId), await responsesTo(deviceId)]).toEqual([
    'ACTIVE',
    [{ response: null, withheld: null }],
  ])
})

test('holds nobody else up while it waits for a device that somebody is changing', async () => {
  await monitor.configure({ rules: { 'access-refused': { response: 'suspend' } } })
  const [first, second] = [
    (await enterService(monitor.service)).deviceId,
    (await enterService(monitor.service)).deviceId,
  ]
  const { deviceId: other } = await enterService(monitor.service)
  await addEvents(
    monitor.service,
    [first, second].flatMap((deviceId) => monitor.series(() => refused(deviceId), 5)),
  )
  await monitor.service.log.sequence()
  const changing = Promise.withResolvers<void>()
  const isLocked = Promise.withResolvers<void>()
  const change = monitor.service.database.open('qflare_api', 1).withOrganization(monitor.organizationId, async (tx) => {
    await lockPrincipal(tx, second)
    isLocked.resolve()
    await changing.promise
  })
  await isLocked.promise
  const watching = monitorEvents(monitor.parts, monitor.service.time.now)
  const waiting = 'select count(*)::int as count from pg_locks where not granted'
  await vi.waitUntil(async () => (await monitor.sql(waiting)).rows[0].count > 0, 5_000)
  const asked = { token: monitor.service.adminToken, body: {} }
  const suspended = call(monitor.service, 'POST', `/v1/devices/${other}/suspend`, asked).then(({ status }) => status)
  const meanwhile = await Promise.race([suspended, sleep(5_000)])
  changing.resolve()
  await Promise.all([change, watching, suspended])
  expect(meanwhile).toBe(200)
  expect([await statusOf(first), await statusOf(second)]).toEqual(['SUSPENDED', 'SUSPENDED'])
})
