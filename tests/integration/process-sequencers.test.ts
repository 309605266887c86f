import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { call } from '../support/api.ts'
import { query } from '../support/embedded.ts'
import { makeTestFolder, stop } from '../support/operations.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { expectRefusal } from '../support/refusals.ts'
import {
  enrollClient,
  makeServiceFolder,
  readAdminToken,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'

// Each step is a process of its own.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** Roles in processes of their own, on a PostgreSQL with a login for each role, with one checkpoint file. */
let server: string
let postgres: EmbeddedPostgres
let env: Record<string, string>

beforeAll(async () => {
  server = await makeServiceFolder()
  postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })
  await prepareOwnPostgres(postgres)
  env = {
    ...loginsOf(postgres),
    QFLARE_CHECKPOINT_FILE: join(server, 'audit-checkpoint'),
    QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
  }
})
afterAll(async () => {
  await postgres.stop()
  await removeServiceFolder(server)
})

const WORKS = /this process is the sequencer of the audit log/
const READY = /ready at no address/
const WITHIN = { timeout: 30_000, interval: 100 }

async function startSequencer(more: Record<string, string> = {}): Promise<ServiceProcess> {
  return spawnService(await makeTestFolder(), { ...env, QFLARE_ROLES: 'sequencer', ...more })
}

const isWorking = ({ output }: ServiceProcess) => WORKS.test(output.stdout)
const countLocks = () =>
  query(
    postgres,
    `select count(*)::int from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and granted and application_name = 'qflare_sequencer_lock'`,
  )

test('sequencers wait for keys, leave them alone, and of several one works until it is killed', async () => {
  const early = await startSequencer()
  await early.said(/waiting for a process with the role worker, which makes the first keys/)
  early.kill('SIGKILL')
  await early.ended()

  const folder = await makeTestFolder()
  const api = spawnService(folder, { ...env, QFLARE_ROLES: 'api,worker' })
  const url = await api.ready()
  const token = await readAdminToken(folder)
  const ask = (path: string) => call({ url }, 'GET', `/v1/audit/${path}`, { token })
  const enrolled = async () => (await ask('events?type=device.enrolled')).body.items.length
  expectRefusal(await ask('checkpoint'), 503, 'unavailable')
  await enrollClient(url, folder)

  const first = await startSequencer()
  await first.said(WORKS)
  await first.said(READY)
  const second = await startSequencer()
  await second.said(READY)
  await vi.waitFor(async () => expect(await enrolled()).toBe(1), WITHIN)
  expect([isWorking(first), isWorking(second), isWorking(api)]).toEqual([true, false, false])
  expect(await countLocks()).toEqual([1])
  expect(existsSync(env.QFLARE_CHECKPOINT_FILE as string)).toBe(true)

  first.kill('SIGKILL')
  const killedAt = performance.now()
  await enrollClient(url, folder)
  await vi.waitFor(async () => expect(await enrolled()).toBe(2), WITHIN)
  expect(performance.now() - killedAt).toBeLessThan(20_000)
  expect(isWorking(second)).toBe(true)
  expect(await countLocks()).toEqual([1])

  // One that is stopped leaves nothing behind, and events wait for the next one.
  await stop(second)
  expect(await countLocks()).toEqual([0])
  await enrollClient(url, folder)
  const third = await startSequencer()
  await third.said(WORKS)
  await vi.waitFor(async () => expect(await enrolled()).toBe(3), WITHIN)
  await stop(third)
  await stop(api)
  expect(await query(postgres, 'select 1')).toEqual([1])
})

test('a sequencer with another login than its own, or without the checkpoint of the others, is refused', async () => {
  const wrong = await startSequencer({ QFLARE_DATABASE_URL_SEQUENCER: env.QFLARE_DATABASE_URL_WORKER as string })
  expect(await wrong.ended()).toBe(1)
  expect(wrong.output.stderr).toMatch(/^QFLARE did not start: permission denied for table audit_log_state/)

  const { QFLARE_CHECKPOINT_FILE: _file, ...without } = env
  const lost = spawnService(await makeTestFolder(), { ...without, QFLARE_ROLES: 'sequencer' })
  expect(await lost.ended()).toBe(1)
  expect(lost.output.stderr).toMatch(/^QFLARE did not start: checkpoint_lost: /)
})
