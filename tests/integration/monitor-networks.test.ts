import { expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { call, enrollTestDevice, initiate, type TestDevice } from '../support/api.ts'
import { addEvents, readEntries } from '../support/audit.ts'
import { monitorPartsOf, openedSession, useMonitor } from '../support/monitor.ts'
import { startTestService } from '../support/service.ts'

/** Where exchanges come from, as far as the log tells: one identity in many places. */

const monitor = useMonitor(() => startTestService({ trustProxy: ['127.0.0.1'] }))

const HOUR_S = 3_600
const tagOf = (network: number) => String(network).padStart(11, 'N')
/** A device exchanged from these networks, so many seconds apart, the last time now. */
const seen = (deviceId: string, networks: readonly number[], secondsApart = 60) =>
  networks.map((network, i) => ({
    draft: openedSession(monitor.organizationId, deviceId, tagOf(network)),
    at: monitor.service.time.now - (networks.length - 1 - i) * secondsApart * 1000,
  }))
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

async function exchangeFrom(device: TestDevice, address: string): Promise<void> {
  const { wire } = await initiate(monitor.service, device)
  const headers = { 'x-forwarded-for': address }
  expect((await call(monitor.service, 'POST', '/v1/exchanges', { body: wire, headers })).status).toBe(201)
}

async function tagsOf({ deviceId }: TestDevice): Promise<unknown[]> {
  await monitor.service.log.sequence()
  const events = (await readEntries(monitor.service)).map(({ event }) => event)
  const own = events.filter(({ type, subject }) => type === 'session.opened' && subject.deviceId === deviceId)
  return own.map(({ data }) => (data as { network?: string }).network)
}

test('the log tells the networks of a device apart, by tags of this device alone, and holds no address', async () => {
  const [device, neighbour] = [await enrollTestDevice(monitor.service), await enrollTestDevice(monitor.service)]
  const addresses = ['203.0.113.7', '203.0.113.200', '198.51.100.7', '2001:db8:1:2::7', '2001:db8:1:3::7']
  for (const address of addresses) await exchangeFrom(device, address)
  await exchangeFrom(neighbour, '203.0.113.7')
  const [one, same, other, six, sameSix] = await tagsOf(device)
  expect([same, sameSix]).toEqual([one, six])
  const apart = [one, other, six, ...(await tagsOf(neighbour))]
  expect(new Set(apart).size).toBe(4)
  for (const tag of apart) expect(tag).toMatch(/^[\w-]{11}$/)
  const log = (await readEntries(monitor.service)).map(({ entry }) => entry).join('\n')
  for (const text of [...addresses, '203.0.113', '2001:db8']) expect(log).not.toContain(text)
})

test('a device whose exchanges come from eight networks within six hours is an incident, which nobody is suspended for', async () => {
  const device = await enrollTestDevice(monitor.service)
  for (let network = 0; network < 8; network++) {
    expect(await monitor.incidents()).toEqual([])
    await exchangeFrom(device, `198.51.${network}.7`)
    await monitor.watch()
  }
  expect(await monitor.incidents()).toMatchObject([
    { rule: 'networks-changed', subject: `device ${device.deviceId}`, severity: 'notice', count: 8, devices: 1 },
  ])
  const { body } = await call(monitor.service, 'PUT', '/v1/monitor-settings', {
    token: monitor.service.adminToken,
    body: { rules: { 'networks-changed': { response: 'suspend' } } },
  })
  expect(body.code).toBe('malformed')
})

test('only those count that it had not come from within the window, however often it goes to and fro', async () => {
  const device = newId()
  await monitor.watch(seen(device, [...upTo(7), ...upTo(7), 3, 6, 3, 6, 3]))
  await monitor.watch(seen(device, upTo(7)))
  await monitor.watch([{ draft: openedSession(monitor.organizationId, device), at: monitor.service.time.now }])
  expect(await monitor.incidents()).toEqual([])
  await monitor.watch(seen(device, [7]))
  expect(await monitor.incidents()).toMatchObject([{ count: 8 }])
})

test('what is further apart than the window is no incident, nor are the networks of several devices together', async () => {
  const device = newId()
  await monitor.watch(seen(device, upTo(16), HOUR_S))
  await monitor.watch(upTo(16).flatMap((network) => seen(newId(), [network])))
  expect(await monitor.incidents()).toEqual([])
  await monitor.configure({ rules: { 'networks-changed': { threshold: 3, windowSeconds: HOUR_S } } })
  const another = newId()
  await monitor.watch(seen(another, [20, 21]))
  expect(await monitor.incidents()).toEqual([])
  await monitor.watch(seen(another, [22]))
  expect(await monitor.incidents()).toMatchObject([{ count: 3 }])
})

test('each is counted once, also when it is read again or by two at once, and is forgotten after a day', async () => {
  const device = newId()
  await addEvents(monitor.service, seen(device, upTo(8)))
  await monitor.service.log.sequence()
  const at = monitor.service.time.now
  await Promise.all([monitorEvents(monitor.parts, at), monitorEvents(monitorPartsOf(monitor.service), at)])
  await monitorEvents(monitor.parts, at)
  expect(await monitor.incidents()).toMatchObject([{ count: 8, events: 8 }])
  const remembered = async () => (await monitor.sql('select count(*)::int as count from device_network')).rows[0].count
  expect(await remembered()).toBe(8)
  monitor.service.time.now += 25 * HOUR_S * 1000
  await monitor.watch(seen(device, [30]))
  expect(await remembered()).toBe(1)
})
