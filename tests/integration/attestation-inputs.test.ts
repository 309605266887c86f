import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { AttestationInputs } from '../../server/services/appraise-evidence.ts'
import { createAttestationInputs } from '../../server/services/attestation-inputs.ts'
import { call } from '../support/api.ts'
import { addAnchor, addReferenceValue, authoritiesWish, psaWish, referenceWish } from '../support/attestation-inputs.ts'
import { crypto as primitives, startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'
import { makePath, parsePath } from '../support/x509.ts'

/** What an appraisal is given: what operators added, as it was at a time, and nothing that somebody else wrote to the database. */

const instanceId = `01${'7e'.repeat(32)}`
const lookupId = `psa:${instanceId}`
const name = 'release 7'

let service: TestService
let database: Database
let inputs: AttestationInputs
let metrics: ReturnType<typeof createMetrics>
let tenant: Tenant
let other: Tenant
let anchorId: string
let valueId: string
const sql = (text: string, values: unknown[] = []) => service.database.sql.query(text, values)

beforeAll(async () => {
  service = await startTestService()
  database = service.database.open('qflare_api', 2)
})
afterAll(async () => {
  await service.close()
})
beforeEach(async () => {
  metrics = createMetrics()
  const { keyring } = service.serviceKeys
  inputs = createAttestationInputs({ crypto: primitives, keyring, logger: createLogger('silent'), metrics })
  tenant = await makeTenant(service, crypto.randomUUID())
  other = await makeTenant(service, crypto.randomUUID())
  anchorId = await addAnchor(tenant, psaWish(instanceId))
  valueId = await addReferenceValue(tenant, referenceWish(name))
})

const find = ({ organizationId }: Tenant, at = service.time.now) =>
  database.withOrganization(organizationId, (tx) =>
    inputs.findTrustAnchors(tx, { organizationId, format: 'psa', lookupIds: [lookupId, 'psa:01'], at }),
  )
const list = ({ organizationId }: Tenant, at = service.time.now) =>
  database.withOrganization(organizationId, (tx) =>
    inputs.listReferenceValues(tx, { organizationId, format: 'tpm2', names: [name, 'another'], at }),
  )
const counts = async (of: Tenant, at?: number) => [(await find(of, at)).length, (await list(of, at)).length]
const remove = (path: string) => call(service, 'DELETE', path, { token: tenant.adminToken })
const mismatches = async () =>
  (await metrics.inputMacMismatches.get()).values.reduce((sum, { value }) => sum + value, 0)

describe('an appraisal', () => {
  test('is given what the organization has of these ids and names, and nothing of another one', async () => {
    const [anchor] = await find(tenant)
    expect(anchor).toMatchObject({ lookupId, kind: 'key' })
    expect(await list(tenant)).toMatchObject([{ pcrs: { sha256: {} } }])
    expect(await counts(other)).toEqual([0, 0])
    const { organizationId } = tenant
    const ask = { organizationId, at: service.time.now }
    await database.withOrganization(organizationId, async (tx) => {
      expect(await inputs.findTrustAnchors(tx, { ...ask, format: 'tpm2', lookupIds: [lookupId] })).toEqual([])
      expect(await inputs.findTrustAnchors(tx, { ...ask, format: 'psa', lookupIds: [] })).toEqual([])
      expect(await inputs.listReferenceValues(tx, { ...ask, format: 'psa', names: [name] })).toEqual([])
      expect(await inputs.listReferenceValues(tx, { ...ask, format: 'tpm2', names: [] })).toEqual([])
    })
    expect(await mismatches()).toBe(0)
  })

  test('is given what stands above an intermediate certificate, too: evidence names its issuer alone', async () => {
    const { root, intermediate, leaf } = parsePath(makePath())
    await addAnchor(tenant, authoritiesWish(root.der, intermediate.der))
    const { organizationId } = tenant
    const wanted = { organizationId, format: 'tpm2', lookupIds: [leaf.issuerId], at: service.time.now } as const
    const found = await database.withOrganization(organizationId, (tx) => inputs.findTrustAnchors(tx, wanted))
    expect(found.map(({ kind, lookupId: id }) => [kind, id])).toEqual([
      ['intermediate', intermediate.subjectId],
      ['root', root.subjectId],
    ])
  })

  test('of a time has what was there then: not before it was added, until it was removed', async () => {
    const addedAt = service.time.now
    service.time.now += 1000
    await remove(`/v1/trust-anchors/${anchorId}`)
    await remove(`/v1/reference-values/${valueId}`)
    expect(await counts(tenant, addedAt - 1)).toEqual([0, 0])
    expect(await counts(tenant, addedAt)).toEqual([1, 1])
    expect(await counts(tenant, addedAt + 999)).toEqual([1, 1])
    expect(await counts(tenant)).toEqual([0, 0])
    expect(await mismatches()).toBe(0)
  })
})

describe('rows', () => {
  test.each([
    `update trust_anchor set der = '\\x00'`,
    `update trust_anchor set name = 'another'`,
    `update trust_anchor set kind = 'root'`,
    `update trust_anchor set created_at = now() - interval '1 year'`,
    'delete from trust_anchor',
    'truncate trust_anchor',
    `update reference_value set body = '{}'`,
    `update reference_value set name = 'another'`,
    'delete from reference_value',
    'truncate reference_value',
  ])('stay as they are, also for the owner of the database: %s', async (statement) => {
    await expect(sql(statement)).rejects.toMatchObject({ code: 'QF004' })
  })

  test.each(['trust_anchor', 'reference_value'])('of %s that are removed stay removed', async (table) => {
    const id = table === 'trust_anchor' ? anchorId : valueId
    await remove(`/v1/${table.replace('_', '-')}s/${id}`)
    for (const wish of ['null', `now() + interval '1 day'`]) {
      await expect(sql(`update ${table} set removed_at = ${wish} where id = $1`, [id])).rejects.toMatchObject({
        code: 'QF004',
      })
    }
  })
})

describe('what somebody wrote to the database', () => {
  /** As a superuser, who can switch the triggers off. */
  async function write(table: string, statement: string, values: unknown[] = []): Promise<void> {
    await sql(`alter table ${table} disable trigger user`)
    try {
      await sql(statement, values)
    } finally {
      await sql(`alter table ${table} enable trigger user`)
    }
  }

  test.each([
    ['its DER', `der = decode('00', 'hex')`],
    ['its kind', `kind = 'root'`],
    ['its time', `created_at = created_at - interval '1 hour'`],
    ['its name', `name = 'the good one'`],
    ['its MAC', `mac = sha256('')`],
    ['the version of its MAC’s key', 'mac_key_version = 77'],
    ['its id', 'id = gen_random_uuid()'],
  ])('is no trust anchor, and is counted: %s', async (_what, change) => {
    await write('trust_anchor', `update trust_anchor set ${change} where id = $1`, [anchorId])
    expect(await find(tenant)).toEqual([])
    expect(await mismatches()).toBe(1)
    expect(await list(tenant), 'the rest is as it was').toHaveLength(1)
  })

  test.each([
    ['its body', `body = '{}'`],
    ['its time', `created_at = created_at - interval '1 hour'`],
    ['its MAC', `mac = sha256('')`],
    ['its id', 'id = gen_random_uuid()'],
  ])('is no reference value, and is counted: %s', async (_what, change) => {
    await write('reference_value', `update reference_value set ${change} where id = $1`, [valueId])
    expect(await list(tenant)).toEqual([])
    expect(await mismatches()).toBe(1)
  })

  test('counts for nothing where it names another key: what evidence finds it by is under the MAC', async () => {
    const another = await addAnchor(tenant, psaWish(undefined, 'ES384'))
    await write('trust_anchor', 'update trust_anchor set lookup_id = $2 where id = $1', [another, lookupId])
    expect(await find(tenant)).toHaveLength(1)
    expect(await mismatches()).toBe(1)
  })

  test('counts for nothing in the organization that it was moved to', async () => {
    const move = 'set organization_id = $2 where id = $1'
    await write('trust_anchor', `update trust_anchor ${move}`, [anchorId, other.organizationId])
    await write('reference_value', `update reference_value ${move}`, [valueId, other.organizationId])
    expect(await counts(other)).toEqual([0, 0])
    expect(await mismatches()).toBe(2)
  })

  test('counts for nothing when it brings back what an operator removed, or takes away what none did', async () => {
    await remove(`/v1/trust-anchors/${anchorId}`)
    await write('trust_anchor', 'update trust_anchor set removed_at = null where id = $1', [anchorId])
    expect(await find(tenant)).toEqual([])
    await write('reference_value', `update reference_value set removed_at = $2 where id = $1`, [
      valueId,
      new Date(service.time.now + 60_000),
    ])
    expect(await list(tenant)).toEqual([])
    expect(await mismatches()).toBe(2)
  })

  test('is shown as not genuine, can be removed, gets no good MAC by that, and gives way to the real one', async () => {
    await write('trust_anchor', `update trust_anchor set name = 'the good one' where id = $1`, [anchorId])
    const show = () => call(service, 'GET', `/v1/trust-anchors/${anchorId}`, { token: tenant.adminToken })
    expect((await show()).body.isGenuine).toBe(false)
    const addedAt = service.time.now
    service.time.now += 1000
    expect(await addAnchor(tenant, psaWish(instanceId)), 'the same key again').not.toBe(anchorId)
    expect((await show()).body).toMatchObject({ isGenuine: false, removedAt: service.time.now })
    expect(await find(tenant)).toHaveLength(1)
    expect(await find(tenant, addedAt), 'nor in a replay').toEqual([])
  })
})
