import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { createLogger } from '../../runtime/logger.ts'
import { flagOldIdentityKeys } from '../../workers/jobs/flag-old-identity-keys.ts'
import { call, enrollTestDevice, stored, type TestDevice } from '../support/api.ts'
import { rotate } from '../support/identity-rotation.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'

const DAY_MS = 86_400_000

let service: TestService
let worker: Database
let tenant: Tenant
beforeAll(async () => {
  service = await startTestService()
  worker = service.database.open('qflare_worker')
  tenant = await makeTenant(service, 'tenant')
})
afterAll(() => service.close())

/** How many keys one run flags. */
async function flag(identityKeyMaxAgeDays = 365, database = worker, seen: [number, number][] = []): Promise<number> {
  const before = await countFlagged()
  const parts = {
    database,
    writeEvent: createEventWriter(crypto),
    logger: createLogger('silent'),
    identityKeyMaxAgeDays,
  }
  await flagOldIdentityKeys(parts, service.time.now, async (done, total) => void seen.push([done, total]))
  return (await countFlagged()) - before
}

async function countFlagged(): Promise<number> {
  const { rows } = await service.database.sql.query(
    'select count(*)::int as count from identity_key where rotation_due_since is not null',
  )
  return rows[0].count
}

const show = async (device: TestDevice, of: TestService = service) =>
  (await call(of, 'GET', `/v1/devices/${device.deviceId}`, { token: of.adminToken })).body

async function age(device: TestDevice, days: number): Promise<void> {
  await service.database.sql.query('update identity_key set created_at = $2 where principal_id = $1', [
    device.deviceId,
    new Date(service.time.now - days * DAY_MS),
  ])
}

describe('the schedule', () => {
  test('flags every key in use that is older than the setting, of every organization, once', async () => {
    const old = await enrollTestDevice(service)
    const young = await enrollTestDevice(service)
    const theirs = await enrollTestDevice(tenant)
    await age(old, 365)
    await age(young, 364.9)
    await age(theirs, 400)
    expect(await flag()).toBe(2)
    const { identityKey } = await show(old)
    expect(identityKey).toMatchObject({
      since: service.time.now - 365 * DAY_MS,
      rotationDueSince: service.time.now,
    })
    expect((await show(young)).identityKey.rotationDueSince).toBeNull()
    expect((await show(theirs, tenant)).identityKey.rotationDueSince).toBe(service.time.now)
    const [event, ...more] = await eventsOf(service, tenant.organizationId, 'device.identity_due')
    expect(more).toEqual([])
    expect(event).toMatchObject({
      severity: 'notice',
      actor: { type: 'service' },
      subject: { deviceId: theirs.deviceId },
      data: { alg: 'ML-DSA-44', since: service.time.now - 400 * DAY_MS },
    })
    expect((await stored(service, old.deviceId)).events['device.identity_due']).toBe(1)

    const before = await databaseContents(service)
    service.time.now += 1_000
    expect(await flag()).toBe(0)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('does not flag the key of a revoked device, a key that was replaced, or any key where the setting is 0', async () => {
    const revoked = await enrollTestDevice(service)
    await call(service, 'POST', `/v1/devices/${revoked.deviceId}/revoke`, { token: service.adminToken, body: {} })
    const first = await enrollTestDevice(service)
    await rotate(service, first)
    await age(revoked, 1_000)
    await service.database.sql.query(
      `update identity_key set created_at = $2 where principal_id = $1 and status = 'REPLACED'`,
      [first.deviceId, new Date(0)],
    )
    expect(await flag()).toBe(0)
    await age(await enrollTestDevice(service), 5_000)
    expect(await flag(0)).toBe(0)
    expect(await flag(3_650)).toBe(1)
  })

  test('that runs three times at once, and is cut off between organizations, leaves one event for each key', async () => {
    const devices = await Promise.all(Array.from({ length: 4 }, () => enrollTestDevice(service)))
    const theirs = await enrollTestDevice(tenant)
    for (const device of [...devices, theirs]) await age(device, 500)
    const before = (await eventsOf(service, tenant.organizationId, 'device.identity_due')).length
    let transactions = 0
    const dying: Database = {
      ...worker,
      withOrganization(organizationId, work) {
        if (transactions++ > 0) throw new Error('cut off')
        return worker.withOrganization(organizationId, work)
      },
    }
    await expect(flag(365, dying)).rejects.toThrow('cut off')
    const { promise: allHaveLooked, resolve } = Promise.withResolvers<void>()
    let looks = 0
    const together: Database = {
      ...worker,
      async withoutOrganization(work) {
        const found = await worker.withoutOrganization(work)
        if (++looks === 3) resolve()
        await allHaveLooked
        return found
      },
    }
    await Promise.all([flag(365, together), flag(365, together), flag(365, together)])
    for (const device of devices) {
      expect((await stored(service, device.deviceId)).events['device.identity_due']).toBe(1)
    }
    expect(await eventsOf(service, tenant.organizationId, 'device.identity_due')).toHaveLength(before + 1)
  })

  test('sees nothing of a key but its id, its organization and how old it is across organizations', async () => {
    const { rows } = await service.database.sql.query(
      `select pg_get_function_result('list_unflagged_identity_keys(timestamptz, integer)'::regprocedure) as result,
        array(select column_name::text from information_schema.column_privileges
          where grantee = 'qflare_jobs' and table_name = 'identity_key') as columns`,
    )
    expect(rows[0].result).toBe('TABLE(organization_id uuid, kid text)')
    for (const column of ['principal_id', 'public_key', 'mac']) expect(rows[0].columns).not.toContain(column)
  })
})

describe('a key that is flagged', () => {
  const list = async (query: string) =>
    (await call(service, 'GET', `/v1/devices?${query}`, { token: service.adminToken })).body.items.map(
      ({ id }: { id: string }) => id,
    )

  test('finds its device in the list, until the device has another key', async () => {
    const device = await enrollTestDevice(service)
    await age(device, 366)
    expect(await list('rotationDue=true&limit=200')).not.toContain(device.deviceId)
    await flag()
    expect((await list('rotationDue=true&limit=1'))[0]).toBe(device.deviceId)
    await rotate(service, device)
    expect(await list('rotationDue=true&limit=200')).not.toContain(device.deviceId)
    expect((await show(device)).identityKey).toMatchObject({ since: service.time.now, rotationDueSince: null })
  })

  test('is asked for by rotationDue=true and nothing else', async () => {
    const answer = await call(service, 'GET', '/v1/devices?rotationDue=false', { token: service.adminToken })
    expectRefusal(answer, 400, 'malformed', 'rotationDue')
  })
})

test('the schedule goes through more keys than one look-up gives', async () => {
  const { deviceId } = await enrollTestDevice(tenant)
  await service.database.sql.query(
    `with p as (insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
        select organization_id, gen_random_uuid(), 'device', 'one of many', 'ACTIVE', 'spiffe://test.example/' || i, '{}', now()
        from principal, generate_series(1, 1200) i where id = $1 returning organization_id, id)
      insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at)
        select organization_id, id::text, id, 'ML-DSA-44', '', 'ACTIVE', sha256(''), 1, $2 from p`,
    [deviceId, new Date(service.time.now - 500 * DAY_MS)],
  )
  const seen: [number, number][] = []
  expect(await flag(365, worker, seen)).toBe(1200)
  expect(seen).toEqual([
    [500, 500],
    [1000, 1000],
    [1200, 1200],
  ])
})
