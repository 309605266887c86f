import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { crlIdOf } from '../../protocol/attestation/x509/revocation.ts'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics, type Metrics } from '../../runtime/metrics.ts'
import type { AttestationInputs } from '../../server/services/appraise-evidence.ts'
import { createAttestationInputs } from '../../server/services/attestation-inputs.ts'
import { call } from '../support/api.ts'
import { addCollateral, postCollateral } from '../support/attestation-inputs.ts'
import { CRL_NEXT_UPDATE, CRL_THIS_UPDATE, type CrlParts, crlWish } from '../support/crl.ts'
import { derTime } from '../support/der.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'

let service: TestService
let tenant: Tenant
let inputs: AttestationInputs
let metrics: Metrics
let issuers = 0
let issuer: string

beforeAll(async () => {
  service = await startTestService({ now: CRL_THIS_UPDATE + 86_400_000 })
})
afterAll(() => service.close())
beforeEach(async () => {
  issuer = `Authority ${++issuers}`
  tenant = await makeTenant(service, globalThis.crypto.randomUUID())
  metrics = createMetrics()
  const { keyring } = service.serviceKeys
  inputs = createAttestationInputs({ crypto, keyring, logger: createLogger('silent'), metrics })
})

const wish = (changes: Partial<CrlParts> = {}) => crlWish({ issuer, ...changes })
const issuedLater = (ms: number, changes: Partial<CrlParts> = {}) =>
  wish({ thisUpdate: derTime(CRL_THIS_UPDATE + ms), ...changes })
const get = (path: string, of = tenant) => call(service, 'GET', `/v1/collateral${path}`, { token: of.adminToken })
const remove = (id: string, of = tenant) => call(service, 'DELETE', `/v1/collateral/${id}`, { token: of.adminToken })
const events = (type: string, of = tenant) => eventsOf(service, of.organizationId, `collateral.${type}`)
const idsOf = async (of = tenant) => (await get('', of)).body.items.map(({ id }: { id: string }) => id)

/** What an appraisal at that time is held against. */
function find(lookupId: string, at = service.time.now, of = tenant) {
  const database = service.database.open('qflare_api', 1)
  return database.withOrganization(of.organizationId, (tx) => inputs.listCollateral(tx, { lookupIds: [lookupId], at }))
}

describe('collateral', () => {
  test('is imported, shown, listed and removed, with its events', async () => {
    const given = wish({ revoked: [1, 2] })
    const { status, body } = await postCollateral(tenant, { ...given, name: 'the list' })
    expect([status, body.isNew]).toEqual([201, true])
    const { id, lookupId } = body.collateral
    expect(body.collateral).toMatchObject({
      kind: 'crl',
      name: 'the list',
      issuedAt: CRL_THIS_UPDATE,
      nextUpdateAt: CRL_NEXT_UPDATE,
      bodyBytes: fromBase64url(given.body).length,
      isGenuine: true,
      removedAt: null,
    })
    expect((await get(`/${id}`)).body).toMatchObject({ id, body: given.body, chain: [] })
    expect(await idsOf()).toEqual([id])
    expect((await get('?kind=crl')).body.items).toHaveLength(1)
    const [added] = await events('added')
    expect(added).toMatchObject({ subject: { collateralId: id }, data: { lookupId, issuedAt: CRL_THIS_UPDATE } })

    for (let times = 0; times < 2; times++) expect((await remove(id)).status).toBe(204)
    expect(await idsOf()).toEqual([])
    expect((await get(`/${id}`)).body.removedAt).toBe(service.time.now)
    expect(await events('removed')).toHaveLength(1)
  })

  test('is there once: the same again is that one, and a newer one takes the place of the older', async () => {
    const given = wish()
    const first = await addCollateral(tenant, given)
    const again = await postCollateral(tenant, given)
    expect([again.status, again.body.isNew, again.body.collateral.id]).toEqual([200, false, first])
    const newer = await addCollateral(tenant, issuedLater(1_000))
    expect(await idsOf()).toEqual([newer])
    expect((await get(`/${first}`)).body.removedAt).toBe(service.time.now)
    const [removed, ...more] = await events('removed')
    expect(more).toEqual([])
    expect(removed).toMatchObject({ subject: { collateralId: first }, data: { replacedBy: newer } })
    expect(await events('added')).toHaveLength(2)
    await remove(newer)
    expect((await events('removed')).at(-1)?.data).not.toHaveProperty('replacedBy')
  })

  test('is not taken back to an older one: who keeps an old list could bring back what was revoked since', async () => {
    await addCollateral(tenant, issuedLater(2_000))
    const before = await databaseContents(service)
    const answer = await postCollateral(tenant, issuedLater(1_000))
    expectRefusal(answer, 400, 'malformed', 'body')
    expect(answer.body.detail).toBe(
      'It was issued at 2026-11-01T00:00:01.000Z, and the one that is there at 2026-11-01T00:00:02.000Z.',
    )
    expect(await databaseContents(service)).toEqual(before)
  })

  test('of many imports at once one is there, the newest', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => postCollateral(tenant, issuedLater(n * 1_000))),
    )
    for (const { status } of answers) expect([201, 400]).toContain(status)
    const [live] = (await get('')).body.items
    expect(live.issuedAt).toBe(CRL_THIS_UPDATE + 7_000)
    expect(await idsOf()).toHaveLength(1)
  })

  test('of another organization is nobody else’s', async () => {
    const other = await makeTenant(service, globalThis.crypto.randomUUID())
    const id = await addCollateral(tenant, wish())
    for (const answer of [await get(`/${id}`, other), await remove(id, other)]) expectRefusal(answer, 404, 'not_found')
    const { lookupId } = (await get(`/${id}`)).body
    expect(await find(lookupId, service.time.now, other)).toEqual([])
    expect(await find(lookupId)).toHaveLength(1)
    const theirs = await postCollateral(other, wish())
    expect([theirs.status, theirs.body.collateral.id === id]).toEqual([201, false])
  })

  test.each<[string, () => object, RegExp]>([
    ['no list', () => ({ kind: 'crl', body: toBase64url(randomBytes(99)) }), /DER/],
    ['a list of the future', () => issuedLater(10 * 86_400_000), /of the future/],
    ['a chain that is none', () => ({ ...wish(), chain: 'nothing' }), /There are 0 certificates/],
  ])('%s is refused, and nothing is stored', async (_what, body, said) => {
    const before = await databaseContents(service)
    const answer = await postCollateral(tenant, body())
    expectRefusal(answer, 400, 'malformed', 'body')
    expect(answer.body.detail).toMatch(said)
    expect(await databaseContents(service)).toEqual(before)
  })
})

describe('a list that says no time and is fetched again as it was', () => {
  const statusList = (status = 'REVOKED') => {
    const list = JSON.stringify({ entries: { '2c8cdddfd5e03bfc': { status } } })
    return { kind: 'android-status-list', body: Buffer.from(list).toString('base64url') }
  }
  const lookupId = 'android-status-list:google'
  const bodies = async () => {
    const { rows } = await service.database.sql.query(
      'select count(body)::int as kept, count(*)::int as rows from collateral where organization_id = $1',
      [tenant.organizationId],
    )
    return rows[0]
  }

  test('is as young as that, in a row of its own, and its body is stored once', async () => {
    const given = statusList()
    const ids: string[] = []
    const times: number[] = []
    for (let day = 0; day < 3; day++) {
      service.time.now += 86_400_000
      times.push(service.time.now)
      ids.push(await addCollateral(tenant, given))
      expect((await get(`/${ids.at(-1)}`)).body).toMatchObject({ issuedAt: service.time.now, body: given.body })
      expect((await find(lookupId))[0]).toMatchObject({ issuedAt: service.time.now })
    }
    expect(await idsOf()).toEqual(ids.slice(-1))
    expect(await bodies()).toEqual({ kept: 1, rows: 3 })
    expect((await events('removed')).map(({ data }) => data.replacedBy)).toEqual(ids.slice(1))
    const { bodyBytes } = (await get('')).body.items[0]
    expect(bodyBytes).toBe(fromBase64url(given.body).length)
    for (const at of times) {
      const [then] = await find(lookupId, at)
      expect([then?.issuedAt, toBase64url(then?.body ?? new Uint8Array())]).toEqual([at, given.body])
    }
    const other = statusList('SUSPENDED')
    service.time.now += 1
    expect((await get(`/${await addCollateral(tenant, other)}`)).body.body).toBe(other.body)
    expect(await bodies()).toEqual({ kept: 2, rows: 4 })
  })

  test('is stored again where somebody changed the body that was there, and another organization’s is its own', async () => {
    const first = await addCollateral(tenant, statusList())
    await write(`update collateral set body = body || '\\x20' where id = $1`, [first])
    service.time.now += 1
    await addCollateral(tenant, statusList())
    expect(await bodies()).toEqual({ kept: 2, rows: 2 })
    expect(await find(lookupId)).toHaveLength(1)
    const other = await makeTenant(service, globalThis.crypto.randomUUID())
    const theirs = await addCollateral(other, statusList())
    expect((await get(`/${theirs}`, other)).body.body).toBe(statusList().body)
    const { rows } = await service.database.sql.query('select body_of from collateral where id = $1', [theirs])
    expect(rows).toEqual([{ body_of: null }])
  })
})

describe('an appraisal', () => {
  test('finds what was there at its time, as it was', async () => {
    const first = await addCollateral(tenant, wish({ revoked: [7] }))
    const { lookupId, body } = (await get(`/${first}`)).body
    const before = service.time.now
    service.time.now += 10_000
    await addCollateral(tenant, issuedLater(1_000, { revoked: [8] }))
    expect(lookupId).toBe(crlIdOf(lookupId.replace('crl:', 'subject:')))
    const [then] = await find(lookupId, before)
    const [now] = await find(lookupId)
    expect(then).toMatchObject({ kind: 'crl', lookupId, issuedAt: CRL_THIS_UPDATE, nextUpdateAt: CRL_NEXT_UPDATE })
    expect(toBase64url(then?.body ?? new Uint8Array())).toBe(body)
    expect(now?.issuedAt).toBe(CRL_THIS_UPDATE + 1_000)
    expect(await find(lookupId, before - 1)).toEqual([])
    expect(await find('crl:of-nobody')).toEqual([])
  })

  test('gets the same object again, so that what was parsed of it is kept', async () => {
    const { lookupId } = (await get(`/${await addCollateral(tenant, wish())}`)).body
    const [[one], [two]] = [await find(lookupId), await find(lookupId)]
    expect(one).toBe(two)
  })

  test.each([
    ['a body', `body = body || '\\x00'`],
    ['another end', `next_update_at = next_update_at + interval '1 year'`],
    ['another time of issue', `issued_at = issued_at - interval '1 day'`],
    ['another kind', `kind = 'other'`],
    ['certificates', `chain = array['\\x3000'::bytea]`],
    ['another hash', `body_hash = sha256('x')`],
  ])('gets nothing of a row to which somebody gave %s', async (_what, change) => {
    const id = await addCollateral(tenant, wish())
    const { lookupId } = (await get(`/${id}`)).body
    await write(`update collateral set ${change} where id = $1`, [id])
    expect(await find(lookupId)).toEqual([])
  })

  test('gets nothing that was removed, though somebody brings its row back; the next import takes its place', async () => {
    const id = await addCollateral(tenant, wish())
    const { lookupId } = (await get(`/${id}`)).body
    await remove(id)
    await write('update collateral set removed_at = null where id = $1', [id])
    expect(await find(lookupId)).toEqual([])
    expect((await get(`/${id}`)).body.isGenuine).toBe(false)
    const { values } = await metrics.inputMacMismatches.get()
    expect(values).toEqual([expect.objectContaining({ labels: { table: 'collateral' }, value: 1 })])
    await addCollateral(tenant, wish())
    expect(await find(lookupId)).toHaveLength(1)
  })

  test.each([`update collateral set name = 'another'`, 'delete from collateral', 'truncate collateral cascade'])(
    'is not cheated by a plain %s',
    async (change) => {
      await addCollateral(tenant, wish())
      await expect(service.database.sql.query(change)).rejects.toThrow('stay as they are')
    },
  )
})

async function write(change: string, values: unknown[]): Promise<void> {
  const { sql } = service.database
  await sql.query('alter table collateral disable trigger user')
  await sql.query(change, values)
  await sql.query('alter table collateral enable trigger user')
}
