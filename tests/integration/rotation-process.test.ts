import { expect, test, vi } from 'vitest'
import { openAuditor } from '../../client/auditor.ts'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { call } from '../support/api.ts'
import { listEvents, makeTestFolder, operate, operateJson, query, stop } from '../support/operations.ts'
import { crypto } from '../support/service.ts'
import { readAdminToken, spawnService } from '../support/service-process.ts'

// A service and commands, each a process of its own.
vi.setConfig({ testTimeout: 180_000 })
const WITHIN = { timeout: 60_000, interval: 500 }

/** A queue that lost everything begins anew, and every job runs. */
async function runSchedule(folder: string): Promise<void> {
  const rows = await query<{ name: string }>(
    folder,
    `select format('bullmq.%I', tablename) as name from pg_tables where schemaname = 'bullmq' and tablename <> 'migration'`,
  )
  await query(folder, `truncate ${rows.map(({ name }) => name).join(', ')}`)
}

test('a service that runs rotates what is old or asked for and follows by itself; its log and its devices go on', async () => {
  const folder = await makeTestFolder()
  const auditKeys = () =>
    query<{ status: string }>(folder, `select status from signing_key where key_use = 'audit' order by published_at`)
  const service = spawnService(folder)
  const url = await service.ready()
  const token = await readAdminToken(folder)
  const store = createMemoryStore()
  const made = await call({ url }, 'POST', '/v1/enrollment-tokens', { token, body: { kind: 'device' } })
  await enrollDevice({ url, token: made.body.token, name: 'edge', store })
  const device = await openDevice({ store })
  const auditor = openAuditor({ url, crypto })
  /** Which of the keys of the log signed its newest checkpoint, counted from the oldest. */
  async function signers(): Promise<number[]> {
    const { keys: log } = await auditor.fetchAuditKeys({ pin: made.body.token.split('.')[2] })
    const { signatures } = verifyCheckpoint(crypto, await auditor.getCheckpoint(), { log })
    return signatures.map(({ by }) => log.indexOf(by))
  }

  await query(folder, `update signing_key set activated_at = now() - interval '1 year' where key_use = 'audit'`)
  const asked = await operateJson<{ asked: unknown[] }>(folder, ['kek', 'rotate', '--yes'])
  expect(asked.asked).toHaveLength(4)
  expect(await operateJson(folder, ['kek', 'rotate', '--yes']), 'twice').toEqual({ asked: [] })
  await runSchedule(folder)
  await expect.poll(auditKeys, WITHIN).toEqual([{ status: 'ACTIVE' }, { status: 'PUBLISHED' }])
  await expect.poll(async () => (await listEvents(folder, 'kek.resealed')).length, WITHIN).toBeGreaterThan(1)
  expect(await listEvents(folder, 'kek.made')).toHaveLength(4)
  expect(await signers()).toEqual([0])

  await query(folder, `update signing_key set published_at = now() - interval '2 days' where status = 'PUBLISHED'`)
  await runSchedule(folder)
  await expect.poll(auditKeys, WITHIN).toContainEqual({ status: 'RETIRED' })
  expect((await device.exchange()).session).toBeDefined()
  await expect.poll(signers, WITHIN).toEqual([1])
  expect((await operate(folder, ['audit', 'check'])).exitCode).toBe(0)
  expect((await operate(folder, ['doctor'])).stdout).not.toMatch(/has ended/)
  await stop(service)
})
