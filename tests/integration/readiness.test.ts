import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { findPublishedCheckpoint } from '../../database/repositories/audit-reader.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { createClock } from '../../runtime/clock.ts'
import { createReadiness } from '../../server/services/readiness.ts'
import { call } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let isScheduleHealthy = true
let url: string
beforeAll(async () => {
  service = await startTestService()
  url = (await service.startNode({ isScheduleHealthy: () => isScheduleHealthy })).url as string
})
afterAll(() => service.close())
beforeEach(async () => {
  isScheduleHealthy = true
  await service.tick()
  expect(await notWell()).toEqual({})
})

/** The parts that are not well, each with its line. */
async function notWell(): Promise<Record<string, string>> {
  const { body } = await call({ url }, 'GET', '/ready')
  const checks = Object.entries(body.checks as Record<string, { ok: boolean; detail?: string }>)
  return Object.fromEntries(checks.flatMap(([name, { ok, detail = '' }]) => (ok ? [] : [[name, detail]])))
}

test('a lost temporal key is told with who makes it anew, and is over when he did', async () => {
  await service.store.destroy({ kind: 'epoch', number: bucketAt(service.time.now) + 3, generation: 0 })
  expect(await notWell()).toEqual({
    temporalKeys: expect.stringMatching(/^1 of \d+ temporal keys were lost.*A process with the role worker makes them/),
  })
})

test('a bucket without a key is told, and what is overdue, with whom to look at', async () => {
  service.time.now += 300_000
  expect(await notWell()).toEqual({
    temporalKeys: expect.stringMatching(/^The key of bucket \d+ is missing\. A process with the role worker/),
    schedule: expect.stringMatching(
      /^\d+ temporal keys are overdue: .* See the logs of the processes with the role worker/,
    ),
    auditLog: expect.stringMatching(/^The newest checkpoint .* 300 s old: no sequencer works\. Start a process/),
  })
})

test('a schedule that failed in this process is told', async () => {
  isScheduleHealthy = false
  expect(await notWell()).toEqual({ schedule: expect.stringMatching(/^The schedule .* failed, .* See the logs/) })
})

test('a log that nobody signs is told, with what to start', async () => {
  service.time.now += 200_000
  const found = await notWell()
  expect(found['auditLog']).toMatch(/ 200 s old: no sequencer works\. Start a process with the role sequencer/)
  await service.log.writer.publish()
  expect(Object.keys(await notWell())).not.toContain('auditLog')
})

test('a database that is away is told with where to look, and so is what needs it', async () => {
  const { sql } = service.database
  const { rows } = await sql.query<{ name: string }>('select current_database() as name')
  const limit = (count: number) => sql.query(`alter database ${rows[0]?.name} connection limit ${count}`)
  await limit(0)
  try {
    await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'qflare'`,
    )
    const found = await notWell()
    expect(found['database']).toMatch(/\. See PostgreSQL’s log .*; the service goes on by itself when it is back\.$/)
    expect(found['auditLog']).toMatch(/Start a process with the role sequencer/)
    for (const line of Object.values(found)) expect(line).toMatch(/\. [A-Z].*\.$/)
  } finally {
    await limit(-1)
  }
})

test('a clock that is off the database’s is told with what to do, and so is one that is not compared any more', async () => {
  let aheadMs = 6_000
  const database = service.database.open('qflare_api')
  const auditor = service.database.open('qflare_auditor')
  expect(await auditor.withoutOrganization(findPublishedCheckpoint)).toBeDefined()
  const clock = createClock(database.readClock, () => Date.now() + aheadMs)
  await clock.measure()
  const readiness = createReadiness({
    database,
    auditor,
    clock,
    temporalKeys: { findBucketKey: async () => undefined, getEpochKeys: async () => [] },
    verifyStoredKeys: async () => {},
    wrapper: { checkHealth: async () => {} },
    isDraining: () => false,
    isScheduleHealthy: () => true,
    jobQueues: { findTrouble: async () => undefined },
  })
  const { isReady, checks } = await readiness.check()
  expect(isReady).toBe(false)
  expect(checks.clock?.detail).toMatch(/^The clock is -?[56]\d{3} ms off the database’s\. Synchronize the clocks/)
  aheadMs += 200_000
  expect((await readiness.check()).checks.clock?.detail).toMatch(/not compared .* for three minutes\. Synchronize/)
})
