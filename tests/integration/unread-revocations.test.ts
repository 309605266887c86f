import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { openOperator } from '../../client/operator.ts'
import { newId } from '../../runtime/ids.ts'
import { call, enrollTestDevice, establish, type TestDevice } from '../support/api.ts'
import { firstOrganization } from '../support/audit.ts'
import { expectRefusal } from '../support/refusals.ts'
import { listen } from '../support/revocation-listener.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'
import { openUnread } from '../support/unread-stream.ts'

/** Who asks for revocations and does not read them. */

/** What the service gives one caller, and one organization. */
const OF_CALLER = 16
const OF_ORGANIZATION = 256
/** More than a connection takes in while nobody reads: 4 MB on this side of it, and a little on the other. */
const CHANGES = 60_000
const BYTES_OF_CHANGE = 150
/** Readers that so much is told to: a few, for the sake of the machine. */
const READERS = 6
const WITHIN_MS = 40_000

let service: TestService
let organizationId: string
let device: TestDevice

beforeAll(async () => {
  const listenerTiming = { pollMs: 100, heartbeatMs: 2_000, slowMs: 5_000, cutOffMs: 5_000 }
  service = await startTestService({ listenerTiming })
  organizationId = await firstOrganization(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enrollTestDevice(service)
  await step('suspend')
})

const step = (action: string) =>
  call(service, 'POST', `/v1/devices/${device.deviceId}/${action}`, { token: service.adminToken, body: {} })
const ask = (token: string) => call(service, 'GET', '/v1/revocations', { token })
const openMany = (token: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => openUnread(service, token)))

/** As if the device had been resumed and suspended in turn. */
async function changeOften(changes = CHANGES): Promise<void> {
  await service.database.sql.query(
    `with feed as (update revocation_feed set last_sequence = last_sequence + $2::int where organization_id = $1
        returning last_sequence)
    insert into revocation select $1, last_sequence - $2::int + n, $3,
        (case n % 2 when 0 then 'SUSPENDED' else 'ACTIVE' end)::principal_status, now()
      from feed, generate_series(1, $2::int) n`,
    [organizationId, changes, device.deviceId],
  )
}

/** Streams that are over, as the metric says it. */
async function countEnded(): Promise<number> {
  const { body } = await call(service, 'GET', '/metrics')
  const lines =
    /^qflare_http_request_duration_seconds_count\{.*route="\/v1\/revocations".*status="(aborted|200)".*\} (\d+)$/gm
  return [...String(body).matchAll(lines)].reduce((sum, [, , count]) => sum + Number(count), 0)
}

function expectWithoutGap(ids: readonly number[]): void {
  expect(ids.findIndex((id, index) => index > 0 && id !== (ids[index - 1] ?? 0) + 1)).toBe(-1)
}

/** A listener of the client library, and how far it is. */
function follow(token: string) {
  const stop = new AbortController()
  const heard = { changes: 0 }
  const following = openOperator({ url: service.url, apiToken: token }).followRevocations({
    signal: stop.signal,
    onSnapshot: () => {},
    onChange: () => void heard.changes++,
  })
  onTestFinished(async () => {
    stop.abort()
    await following
  })
  return heard
}

test('who reads nothing takes little memory, holds up nobody, is cut off, and goes on later where he was', async () => {
  const { token } = await makeApiToken(service, ['operator'])
  const { token: readersToken } = await makeApiToken(service, ['operator'])
  const reader = follow(readersToken)
  const [before, unread] = [await countEnded(), await openMany(token, READERS)]
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const heldBytes = () => {
    collect()
    return process.memoryUsage().heapUsed + process.memoryUsage().external
  }
  const heldBefore = heldBytes()
  await changeOften()
  let most = 0
  await vi.waitFor(
    async () => {
      most = Math.max(most, heldBytes() - heldBefore)
      for (const action of ['resume', 'suspend']) expect((await step(action)).status).toBe(200)
      expect(await countEnded()).toBe(before + READERS)
    },
    { timeout: WITHIN_MS, interval: 100 },
  )
  // What they did not take, kept for each of them, would be twice as much.
  expect(most).toBeLessThan((READERS * CHANGES * BYTES_OF_CHANGE) / 4)
  expect((await ask(token)).status).toBe(200)

  const { rows } = await service.database.sql.query<{ last: number }>(
    'select max(sequence)::int as last from revocation',
  )
  const last = rows[0]?.last ?? 0
  const heard = await Promise.all(unread.map((stream) => stream.readOn()))
  for (const ids of heard) {
    expectWithoutGap(ids)
    expect(ids.length).toBeLessThan(CHANGES)
  }
  await expect.poll(() => reader.changes, { timeout: WITHIN_MS }).toBeGreaterThanOrEqual(CHANGES)
  const place = heard[0]?.at(-1) ?? 0
  const again = await listen(service, token, { query: `?after=${place}` })
  onTestFinished(() => again.close())
  const rest = (await again.until('change', last - place)).map(({ id }) => Number(id))
  expectWithoutGap([place, ...rest])
  expect(rest.at(-1)).toBe(last)
}, 120_000)

test('who reads a little now and then is cut off too', async () => {
  const { token } = await makeApiToken(service, ['operator'])
  const [before, stream] = [await countEnded(), await openUnread(service, token)]
  await changeOften()
  const trickle = setInterval(() => void stream.take(1_024), 50)
  onTestFinished(() => clearInterval(trickle))
  await expect.poll(countEnded, { timeout: WITHIN_MS }).toBe(before + 1)
})

test('as many as an organization may have keep nobody from being served', async () => {
  const tenant = await makeTenant(service, newId())
  const bystander = await enrollTestDevice(tenant)
  const tokens = await Promise.all(
    Array.from({ length: OF_ORGANIZATION / OF_CALLER + 1 }, () => makeApiToken(service, ['operator'])),
  )
  const [left, ...taken] = tokens.map(({ token }) => token)
  for (const token of taken) await openMany(token, OF_CALLER)
  expectRefusal(await ask(left ?? ''), 503, 'overloaded')
  const others = await listen(service, tenant.adminToken)
  onTestFinished(() => others.close())
  await changeOften(500)
  await establish(tenant, bystander)
  expect((await step('resume')).status).toBe(200)
  await call(service, 'POST', `/v1/devices/${bystander.deviceId}/suspend`, { token: tenant.adminToken, body: {} })
  await others.until('change')
  expect(others.changes()).toEqual([[bystander.deviceId, 'SUSPENDED']])
})
