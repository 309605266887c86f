import { Writable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { call, createToken, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { createPolicy } from '../support/policies.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** What somebody who writes to the database gains with policies: nothing goes on by one that he changed. */

const lines: Record<string, { message?: string }>[] = []
let service: TestService
let tenant: Tenant
let other: Tenant
const sql = (text: string, values: unknown[] = []) => service.database.sql.query(text, values)

beforeAll(async () => {
  const write = (line: string, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(line))
    done()
  }
  service = await startTestService({ logger: createLogger('warn', new Writable({ decodeStrings: false, write })) })
  tenant = await makeTenant(service, 'tenant')
  other = await makeTenant(service, 'other')
  await createPolicy(tenant, 'strict', { enroll: ['affirming'] })
  await createPolicy(tenant, 'strict', { enroll: ['affirming', 'warning'] })
  for (const description of ['one', 'two']) {
    await createPolicy(tenant, 'open', { description })
    await createPolicy(other, 'strict', { description })
  }
})
afterAll(() => service.close())
beforeEach(() => {
  lines.length = 0
})

describe('versions of a policy', () => {
  test.each([
    `update appraisal_policy set body = '{}'`,
    'update appraisal_policy set version = version + 7',
    `update appraisal_policy set name = 'another'`,
    'update appraisal_policy set created_at = now()',
    `update appraisal_policy set organization_id = '${crypto.randomUUID()}'`,
    'delete from appraisal_policy',
    'truncate appraisal_policy',
  ])('stay as they are, also for the owner of the database: %s', async (statement) => {
    await expect(sql(statement)).rejects.toMatchObject({ code: 'QF004' })
  })

  test.each(['qflare_api', 'qflare_worker', 'qflare_auditor', 'qflare_sequencer', 'qflare_jobs'])(
    'are nothing that %s may change or delete',
    async (role) => {
      for (const statement of [
        `update appraisal_policy set body = '{}'`,
        'update appraisal_policy set version = 9',
        'delete from appraisal_policy',
        'truncate appraisal_policy',
      ]) {
        await sql(`set role ${role}`)
        try {
          await expect(sql(statement), statement).rejects.toThrow(/permission denied/)
        } finally {
          await sql('reset role')
        }
      }
    },
  )
})

describe('a policy that somebody changed in the database', () => {
  /** As a superuser, who can switch the trigger off. */
  async function changed(statement: string, values: unknown[], check: () => Promise<void>): Promise<void> {
    await sql('create temp table kept as select * from appraisal_policy')
    await sql('alter table appraisal_policy disable trigger user')
    try {
      await sql(statement, values)
      await check()
    } finally {
      await sql('delete from appraisal_policy')
      await sql('insert into appraisal_policy select * from kept')
      await sql('drop table kept')
      await sql('alter table appraisal_policy enable trigger user')
    }
  }
  const ofTenant = `organization_id = $1 and name = 'strict' and version = 2`

  test.each([
    ['its body', `update appraisal_policy set body = replace(body, '"affirming"', '"none"') where ${ofTenant}`],
    [
      'its body, for that of another policy with its MAC',
      `update appraisal_policy p set body = o.body, mac = o.mac from appraisal_policy o
        where p.organization_id = $1 and p.name = 'strict' and p.version = 2 and o.organization_id = $1 and o.name = 'open' and o.version = 2`,
    ],
    [
      'its body, for that of an older version with its MAC',
      `update appraisal_policy p set body = o.body, mac = o.mac from appraisal_policy o
        where p.organization_id = $1 and p.name = 'strict' and p.version = 2
          and o.organization_id = $1 and o.name = 'strict' and o.version = 1`,
    ],
    [
      'its body, for that of another organization with its MAC',
      `update appraisal_policy p set body = o.body, mac = o.mac from appraisal_policy o
        where p.organization_id = $1 and p.name = 'strict' and p.version = 2 and o.organization_id <> $1 and o.name = 'strict' and o.version = 2`,
    ],
    ['its MAC', `update appraisal_policy set mac = sha256('') where ${ofTenant}`],
    ['the version of its MAC’s key', `update appraisal_policy set mac_key_version = 77 where ${ofTenant}`],
    [
      'its version',
      `with gone as (delete from appraisal_policy where ${ofTenant})
        update appraisal_policy set version = 3 where organization_id = $1 and name = 'strict' and version = 1`,
    ],
  ])('admits nobody, and is in the log of the service: %s', async (_what, statement) => {
    const { credential } = await createToken(tenant, { policyId: 'strict' })
    const started = await startEnrollment(service, credential)
    const complete = () =>
      call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, {
        body: signCompletion(started, makeIdentity().identityKey),
      })
    await changed(statement, [tenant.organizationId], async () => {
      const before = await databaseContents(service)
      const asOperator = (method: string, path: string, body?: object) =>
        call(service, method, path, { token: tenant.adminToken, body })
      for (const answer of [
        await complete(),
        await call(service, 'POST', '/v1/enrollments', { body: { token: credential } }),
        await asOperator('POST', '/v1/enrollment-tokens', { kind: 'device', policyId: 'strict' }),
        await asOperator('GET', '/v1/policies/strict'),
        await asOperator('GET', '/v1/policies'),
      ]) {
        expectRefusal(answer, 500, 'internal')
        expect(answer.body.detail).not.toContain('strict')
      }
      expect(await databaseContents(service), 'nothing is spent').toEqual(before)
      expect(lines).toHaveLength(5)
      for (const line of lines)
        expect(line.error?.message).toMatch(/^The policy strict@[23] .* somebody wrote to the database\.$/)
      expect((await asOperator('GET', '/v1/policies/open')).status, 'others are as they were').toBe(200)
      expect((await call(service, 'GET', '/v1/policies/strict', { token: other.adminToken })).status).toBe(200)
    })
    expectRefusal(await complete(), 403, 'evidence_refused', 'evidence')
  })

  test('is good again from the next version on, also of the same document', async () => {
    const statement = `update appraisal_policy set body = replace(body, '"affirming"', '"none"') where ${ofTenant}`
    await changed(statement, [tenant.organizationId], async () => {
      const made = await createPolicy(tenant, 'strict', { enroll: ['affirming', 'warning'] })
      expect(made.id).toBe('strict@3')
      expect((await createPolicy(tenant, 'strict', { enroll: ['affirming', 'warning'] })).id).toBe('strict@3')
      const show = (path: string) => call(service, 'GET', `/v1/policies/${path}`, { token: tenant.adminToken })
      expect((await show('strict')).body.id).toBe('strict@3')
      expectRefusal(await show('strict?version=2'), 500, 'internal')
    })
  })
})
