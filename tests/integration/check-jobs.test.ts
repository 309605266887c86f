import { Writable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { JobStopped } from '../../workers/job.ts'
import { checkStoredLog } from '../../workers/jobs/check-audit-log.ts'
import { checkClocks } from '../../workers/jobs/check-clocks.ts'
import { firstOrganization, logEvents } from '../support/audit.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let lines: Record<string, unknown>[] = []
const logger = createLogger(
  'info',
  new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      lines.push(JSON.parse(line))
      done()
    },
  }),
)

const metrics = createMetrics()
const checks = async () =>
  Object.fromEntries((await metrics.auditLogChecks.get()).values.map(({ labels, value }) => [labels.result, value]))

beforeAll(async () => {
  service = await startTestService()
  await logEvents(service, await firstOrganization(service), 600)
})
afterAll(() => service.close())

function partsOf(readFile: boolean) {
  return {
    database: service.database.open('qflare_worker', 1),
    storedLog: {
      database: service.database.open('qflare_sequencer', 1),
      keys: service.log.keys,
      readCheckpointFile: readFile ? () => readCheckpointFile(service.log.options.checkpointFile) : undefined,
    },
    crypto,
    writeEvent: createEventWriter(crypto),
    logger,
    metrics,
  }
}

const findings = async () =>
  (await service.database.sql.query('select entry::jsonb as event from audit_outbox')).rows
    .map(({ event }) => event)
    .filter(({ type }) => type === 'audit_log.difference_found')

test('the nightly check reads the whole log with its progress, with the checkpoint file or without, and writes nothing', async () => {
  for (const withFile of [true, false]) {
    const seen: [number, number][] = []
    await checkStoredLog(partsOf(withFile), 0, async (done, total) => void seen.push([done, total]))
    expect(seen.length).toBeGreaterThan(2)
    expect(seen.at(-1)?.[0]).toBe(seen.at(-1)?.[1])
  }
  expect(await findings()).toEqual([])
  expect(await checks()).toEqual({ well: 2 })
})

test('the nightly check of a log that was changed is an event of severity critical and an error in the log, each time', async () => {
  const { sql } = service.database
  await sql.query('set session_replication_role = replica')
  await sql.query(`update audit_entry set entry = replace(entry, 'device.', 'devise.') where index = 444`)
  lines = []
  for (let time = 1; time <= 2; time++) {
    await checkStoredLog(partsOf(true), 5, async () => {})
    const found = await findings()
    expect(found).toHaveLength(time)
    expect(await checks()).toEqual({ well: 2, difference: time })
    expect(found.at(-1)).toMatchObject({ severity: 'critical', at: 5, subject: {} })
    // Where the difference is and of what kind it is, and nothing of what the entry says.
    const what = 'is not the one that was logged'
    expect(found.at(-1).data).toEqual({ logSize: expect.any(Number), count: 2, index: 444, what })
  }
  expect(lines[0]).toMatchObject({ level: 50, msg: expect.stringMatching(/not what was signed: entry 444/) })
})

test('a nightly check that cannot read the log says that it knows nothing', async () => {
  const away = async () => {
    throw new Error('The file is away.')
  }
  const parts = partsOf(false)
  await expect(
    checkStoredLog({ ...parts, storedLog: { ...parts.storedLog, readCheckpointFile: away } }, 0, async () => {}),
  ).rejects.toThrow('The file is away.')
  expect(await checks()).toEqual({ well: 2, difference: 2, failed: 1 })
})

test('the nightly check stops between two pages when its process stops', async () => {
  const stop = async () => {
    throw new JobStopped()
  }
  await expect(checkStoredLog(partsOf(true), 0, stop)).rejects.toThrow(JobStopped)
  expect(await checks()).toMatchObject({ failed: 1 })
})

test('clocks that are off by more than five seconds are errors, each by its name, and those that are not are none', async () => {
  const check = async (offsetMs: number, redisMs: number | undefined) => {
    lines = []
    const clock = {
      now: () => 1_000_000,
      offsetMs: () => offsetMs,
      measuredAt: () => 1_000_000,
      measure: async () => {},
    }
    const readRedisClock = redisMs === undefined ? undefined : async () => 1_000_000 - redisMs
    await checkClocks({ clock, readRedisClock, logger, metrics })
    return lines.map(({ msg, offsetMs: told }) => `${String(msg)} ${String(told)}`)
  }
  expect(await check(4_999, -4_999)).toEqual([])
  expect(await check(-5_001, undefined)).toEqual([expect.stringMatching(/clock of this machine .* -5001$/)])
  expect(await check(0, 5_001)).toEqual([expect.stringMatching(/clock of the Redis of the queues .* 5001$/)])
})
