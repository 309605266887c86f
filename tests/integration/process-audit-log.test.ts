import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { call } from '../support/api.ts'
import { findCluster } from '../support/embedded.ts'
import { makeTestFolder, stop } from '../support/operations.ts'
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

/** A service whose data folder is exchanged below it, between its runs, as an operator could who restores what he should not. */
let folder: string
/** A copy of its PostgreSQL as it was early. */
let older: string
let cluster: string
const file = () => join(folder, 'audit-checkpoint')

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

async function expectNoStart(service: ServiceProcess, message: RegExp): Promise<void> {
  expect(await service.ended()).toBe(1)
  expect(service.output.stderr).toMatch(message)
  expect(service.output.stderr, 'no stack for a person to read').not.toMatch(/\n\s+at /)
  expect(service.output.stdout).not.toMatch(/ready at/)
}

/** With owners and modes, which PostgreSQL looks at. */
async function copyTree(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

async function listEvents(url: string, type: string): Promise<{ index: number; event: { data: object } }[]> {
  const token = await readAdminToken(folder)
  const { status, body } = await call({ url }, 'GET', `/v1/audit/events?type=${type}`, { token })
  expect(status).toBe(200)
  return body.items
}

test('the first runs log what happens, and leave their newest checkpoint in the data folder', async () => {
  const first = spawnService(folder)
  await enrollClient(await first.ready(), folder)
  await stop(first)
  expect(existsSync(file())).toBe(true)
  cluster = await findCluster(folder)
  older = `${cluster}-older`
  await copyTree(cluster, older)

  const second = spawnService(folder)
  const url = await second.ready()
  for (let i = 0; i < 3; i++) await enrollClient(url, folder)
  await vi.waitFor(async () => expect(await listEvents(url, 'device.enrolled')).toHaveLength(4), 20_000)
  await stop(second)
})

test('an older PostgreSQL folder in its place is refused, each time, and the reason is said', async () => {
  await rename(cluster, `${cluster}-newer`)
  await copyTree(older, cluster)
  for (let i = 0; i < 2; i++) {
    await expectNoStart(
      spawnService(folder),
      /^QFLARE did not start: log_rollback: The log in the database has \d+ entries, but a checkpoint of \d+ was signed/,
    )
  }
  await expectNoStart(spawnService(folder, {}, ['--accept-lost-checkpoint']), /log_rollback/)
  await rm(cluster, { recursive: true })
  await rename(`${cluster}-newer`, cluster)
})

test('the right one goes on', async () => {
  const service = spawnService(folder)
  expect(await listEvents(await service.ready(), 'device.enrolled')).toHaveLength(4)
  await stop(service)
})

test('a lost checkpoint is refused until the operator says that he knows, and that is logged', async () => {
  await rm(file())
  await expectNoStart(spawnService(folder), /checkpoint_lost: .*start once with --accept-lost-checkpoint/)
  expect(existsSync(file())).toBe(false)

  const accepting = spawnService(folder, {}, ['--accept-lost-checkpoint'])
  const url = await accepting.ready()
  await vi.waitFor(async () => expect(await listEvents(url, 'audit_log.checkpoint_lost')).toHaveLength(1), 20_000)
  const [lost] = await listEvents(url, 'audit_log.checkpoint_lost')
  expect(lost?.event.data).toEqual({ logSize: expect.any(Number) })
  await stop(accepting)

  const service = spawnService(folder)
  expect(await listEvents(await service.ready(), 'audit_log.checkpoint_lost')).toHaveLength(1)
  await stop(service)
})

test('what the operator knows to be forked goes on once the checkpoint is moved away, and says so', async () => {
  await rm(cluster, { recursive: true })
  await rename(older, cluster)
  await expectNoStart(spawnService(folder), /log_rollback: .*move .*audit-checkpoint to a safe place/)
  await rename(file(), `${file()}-safe`)
  const service = spawnService(folder, {}, ['--accept-lost-checkpoint'])
  const url = await service.ready()
  await vi.waitFor(async () => expect(await listEvents(url, 'audit_log.checkpoint_lost')).toHaveLength(1), 20_000)
  await stop(service)
})

test('an argument that is not known is refused before anything is made', async () => {
  const empty = await makeTestFolder()
  for (const args of [
    ['--accept-lost'],
    ['--accept-lost-checkpoint', 'x'],
    ['start'],
    ['--accept-lost-checkpoint=yes'],
  ]) {
    const unknown = args.at(-1)
    await expectNoStart(spawnService(empty, {}, args), new RegExp(`${unknown}: is no argument of the service`))
  }
  expect(existsSync(join(empty, 'postgres'))).toBe(false)
  expect(existsSync(join(empty, 'root-key'))).toBe(false)
})
