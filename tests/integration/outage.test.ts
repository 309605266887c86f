import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call, enrollTestDevice, initiate, refusal, sendExchange } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService

beforeAll(async () => {
  service = await startTestService({ maxConnections: 4 })
})
afterAll(() => service.close())

describe('a defect', () => {
  test('answers a fixed text that tells nothing of its cause, and the next request is fine', async () => {
    const { sql } = service.database
    const ask = () => call(service, 'GET', '/v1/devices', { token: service.adminToken })
    const text = 'The service failed; its log says more under this requestId.'
    await sql.query('revoke select on principal from qflare_api')
    try {
      const answer = await ask()
      expectRefusal(answer, 500, 'internal')
      expect(answer.body.detail).toBe(text)
      expect(JSON.stringify([answer.body, ...answer.headers])).not.toMatch(
        /principal|permission|postgres|select|sql|\.ts/i,
      )
    } finally {
      await sql.query('grant select on principal to qflare_api')
    }
    expect((await ask()).status).toBe(200)
  })

  test('in the middle of an exchange stores nothing of it', async () => {
    const { sql } = service.database
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    const contents = await databaseContents(service)
    await sql.query('alter table session add constraint defect check (false) not valid')
    try {
      expectRefusal(await sendExchange(service, wire), 500, 'internal')
    } finally {
      await sql.query('alter table session drop constraint defect')
    }
    expect(await databaseContents(service)).toEqual(contents)
    expect((await sendExchange(service, wire)).status).toBe(201)
  })
})

describe('a database that is away', () => {
  const requests: (() => Promise<Answer>)[] = [
    () => call(service, 'GET', '/v1/devices', { token: service.adminToken }),
    () => call(service, 'GET', '/v1/trust'),
    () =>
      call(service, 'POST', '/v1/enrollments', { body: { token: `${newId()}.${toBase64url(new Uint8Array(32))}` } }),
  ]
  const endConnections = () =>
    service.database.sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'qflare'`,
    )

  test('answers 503 with Retry-After, is not ready, and comes back by itself', async () => {
    const { sql } = service.database
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    const { rows } = await sql.query<{ name: string }>('select current_database() as name')
    const limit = (count: number) => sql.query(`alter database ${rows[0]?.name} connection limit ${count}`)
    const contents = await databaseContents(service)
    await limit(0)
    try {
      await endConnections()
      for (const request of [...requests, () => sendExchange(service, wire)]) {
        expectRefusal(await request(), 503, 'unavailable')
      }
      const ready = await call(service, 'GET', '/ready')
      expect(ready).toMatchObject({ status: 503, body: { status: 'not_ready', checks: { database: { ok: false } } } })
      expect((await call(service, 'GET', '/live')).status).toBe(200)
    } finally {
      await limit(-1)
    }
    expect(await databaseContents(service)).toEqual(contents)
    expect((await sendExchange(service, wire)).status).toBe(201)
    expect((await call(service, 'GET', '/ready')).status).toBe(200)
  })

  test('under running requests answers each with success or 503, and the process goes on', async () => {
    let isOver = false
    const codes = new Set<unknown>()
    const load = Array.from({ length: 12 }, async (_, index) => {
      while (!isOver) {
        const answer = await (requests[index % 2] as () => Promise<Answer>)()
        codes.add(answer.status === 200 ? 200 : refusal(answer).code)
      }
    })
    for (let round = 0; round < 15; round++) await endConnections()
    isOver = true
    await Promise.all(load)
    expect([...codes].filter((code) => code !== 200 && code !== 'unavailable')).toEqual([])
    const last = await call(service, 'GET', '/v1/devices', { token: service.adminToken })
    expect(last.status).toBe(200)
  })
})
