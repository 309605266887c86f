import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { newId } from '../../runtime/ids.ts'
import { call, createToken } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** What one organization asks of the database, and what becomes of the others meanwhile. */

let service: TestService
let busy: Tenant
let other: Tenant

beforeAll(async () => {
  service = await startTestService({ maxConnections: 4 })
  busy = await makeTenant(service, 'busy')
  other = await makeTenant(service, 'other')
})
afterAll(() => service.close())

const pause = (seconds: number) => ({ name: 'pause', text: 'select pg_sleep($1)', values: [seconds] })

test('whoever asks for little waits for one turn, however many transactions of one organization wait before it', async () => {
  const database = service.database.open('qflare_api', 2)
  const ended: string[] = []
  const run = (name: string, work: (database: Database) => Promise<unknown>) =>
    work(database).then(() => void ended.push(name))
  const { organizationId } = busy
  const many = Array.from({ length: 20 }, () =>
    run('busy', (opened) => opened.sendTransaction({ organizationId }, [pause(0.02)])),
  )
  await Promise.all([
    ...many,
    run('other', (opened) => opened.withOrganization(other.organizationId, async () => {})),
    run('a device', (opened) => opened.sendTransaction({ organizationOf: newId() }, [])),
    run('nobody', (opened) => opened.withoutOrganization(async () => {})),
  ])
  expect(ended.slice(0, 8)).toEqual(expect.arrayContaining(['other', 'a device', 'nobody']))
  expect(database.connections()).toMatchObject({ waiting: 0 })
})

test('an organization whose requests all wait for a lock of its own leaves a connection to the others', async () => {
  const { sql } = service.database
  const key = `hashtextextended('qflare api tokens ${busy.organizationId}', 0)`
  await sql.query(`select pg_advisory_lock(${key})`)
  const held = Array.from({ length: 12 }, () => createToken(busy))
  const waiting = `select from pg_locks where not granted and locktype = 'advisory'`
  await expect.poll(async () => (await sql.query(waiting)).rowCount, { timeout: 5_000 }).toBe(3)
  expect(await call(service, 'GET', '/v1/devices', { token: other.adminToken })).toMatchObject({ status: 200 })
  expect((await createToken(other)).id).toBeDefined()
  await sql.query(`select pg_advisory_unlock(${key})`)
  await Promise.all(held)
})
