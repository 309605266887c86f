import { cp, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { temporalKeyFolders } from '../../runtime/temporal/temporal-key-folder.ts'
import {
  connect,
  listEvents,
  makeBackupFolder,
  makeTestFolder,
  operate,
  operateJson,
  query,
  stop,
} from '../support/operations.ts'
import {
  enrollClient,
  findPostmasters,
  openAdmin,
  removeServiceFolder,
  spawnService,
} from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** With a session, and with a state that can be opened at another address. */
async function enrol(url: string, folder: string, name: string) {
  const store = createMemoryStore()
  const { token } = await (await openAdmin(url, folder)).createEnrollmentToken({ kind: 'device' })
  const { deviceId } = await (await enrollDevice({ url, token, store, name })).exchange()
  return { store, deviceId }
}

/** Transactions that write the same number to two tables, as fast as they go, until told to stop. Gives the last number. */
function writeUntilStopped(client: Client): { stop(): Promise<number>; last(): number } {
  let isStopped = false
  let number = 0
  const writing = (async () => {
    while (!isStopped) {
      const next = number + 1
      // A filler, so that pages and log are many.
      await client.query(`begin; insert into left_side values (${next}, repeat('x', 2000));
        insert into right_side values (${next}); update left_side set filler = repeat('y', 2000) where n = ${next >> 1}; commit`)
      number = next
    }
    return number
  })()
  return {
    last: () => number,
    stop() {
      isStopped = true
      return writing
    },
  }
}

test('a backup under write load has everything from before it, and of what came meanwhile whole transactions only', async () => {
  const folder = await makeTestFolder()
  const backups = await makeBackupFolder()
  await spawnService(folder).ready()
  const out = join(backups, 'one')
  const clients = [await connect(folder), await connect(folder)] as const
  const [writer, churner] = clients
  onTestFinished(async () => {
    for (const client of clients) await client.end()
  })
  await writer.query(
    'create table left_side (n int primary key, filler text); create table right_side (n int primary key)',
  )
  const load = writeUntilStopped(writer)
  onTestFinished(() => load.stop().then(() => undefined))
  while (load.last() < 500) await churner.query('select pg_sleep(0.05)')
  const before = load.last()
  const backingUp = operateJson(folder, ['backup', '--out', out])
  let isOver = false
  const over = backingUp.finally(() => (isOver = true))
  // What would recycle the log and tear pages: checkpoints and full segments, all the time.
  while (!isOver) await churner.query('select pg_switch_wal()').then(() => churner.query('checkpoint'))
  await over
  const after = load.last()
  await load.stop()
  expect(after, 'the load went on meanwhile').toBeGreaterThan(before)
  expect(await query(folder, 'select from pg_replication_slots'), 'no slot keeps the log for good').toEqual([])

  expect((await stat(out)).mode & 0o777).toBe(0o700)
  for (const name of await readdir(out)) expect((await stat(join(out, name))).mode & 0o777, name).toBe(0o600)
  expect((await readdir(out)).sort()).toEqual(['base.tar', 'manifest.json', 'postgres-password'])

  const restored = await makeTestFolder()
  await operateJson(restored, ['restore', '--from', out, '--root-key', join(folder, 'root-key')])
  await spawnService(restored).ready()
  const [counts] = await query<Record<string, number>>(
    restored,
    `select (select count(*) from left_side)::int as left, (select count(*) from right_side)::int as right,
      (select count(*) from left_side natural join right_side)::int as both, (select max(n) from left_side)::int as last`,
  )
  expect(counts?.left).toBe(counts?.last)
  expect(counts).toMatchObject({ right: counts?.left, both: counts?.left })
  expect(counts?.last).toBeGreaterThanOrEqual(before)
  expect(counts?.last).toBeLessThanOrEqual(after + 1)
})

test('a restore to a clean folder brings devices back to an exchange, and forgets what came after the backup, saying so', async () => {
  const folder = await makeTestFolder()
  const out = join(await makeBackupFolder(), 'one')
  const service = spawnService(folder)
  const url = await service.ready()
  const admin = await openAdmin(url, folder)
  const edge = await enrol(url, folder, 'edge')
  const stolen = await enrol(url, folder, 'stolen')
  await operateJson(folder, ['backup', '--out', out])
  await admin.revokeDevice(stolen.deviceId)
  const late = await enrol(url, folder, 'late')
  await (await openDevice({ store: edge.store, url })).exchange()
  await stop(service)

  const restored = await makeTestFolder()
  const rootKey = join(folder, 'root-key')
  const args = ['restore', '--from', out, '--root-key', rootKey, '--data-dir', restored]
  const run = await operate(await makeTestFolder(), args)
  expect(run).toMatchObject({ exitCode: 0, stderr: '' })
  expect(run.stdout).toContain(`QFLARE_DATA_DIR='${restored}' npm start`)
  expect(run.stdout).toContain('qflare admin-token recover')
  expect(run.stdout).toMatch(/devices that were revoked or suspended since then are active again/)
  expect(await findPostmasters(restored)).toEqual([])
  expect((await stat(join(restored, 'root-key'))).mode & 0o777).toBe(0o600)

  const restoredUrl = await spawnService(restored).ready()
  for (const { store } of [edge, stolen]) {
    const device = await openDevice({ store, url: restoredUrl })
    expect((await device.exchange()).session).toBeDefined()
  }
  await expect((await openDevice({ store: late.store, url: restoredUrl })).exchange()).rejects.toMatchObject({
    code: 'exchange_refused',
  })
  expect((await (await openAdmin(restoredUrl, folder)).listDevices()).items, 'the admin token of then').toHaveLength(2)
  expect(await listEvents(restored, 'service.restored')).toMatchObject([{ severity: 'warning' }])
})

test('a stopped service is backed up too, with its root key where that is wished, and stays stopped', async () => {
  const folder = await makeTestFolder()
  const out = join(await makeBackupFolder(), 'one')
  const service = spawnService(folder)
  const device = await enrollClient(await service.ready(), folder)
  await stop(service)
  await operateJson(folder, ['backup', '--out', out, '--with-root-key'])
  expect(await findPostmasters(folder)).toEqual([])
  const rootKey = (await readFile(join(folder, 'root-key'), 'utf8')).trim()
  expect((await readFile(join(out, 'root-key'), 'utf8')).trim()).toBe(rootKey)
  expect(await readFile(join(out, 'manifest.json'), 'utf8')).not.toContain(rootKey)

  const restored = await makeTestFolder()
  await operateJson(restored, ['restore', '--from', out])
  const url = await spawnService(restored).ready()
  const { items } = await (await openAdmin(url, folder)).listDevices()
  expect(items.map(({ id }) => id)).toEqual([(await device.status()).deviceId])
})

test('temporal keys of after the backup do not survive a restore to the same place', async () => {
  const folder = await makeTestFolder()
  const out = join(await makeBackupFolder(), 'one')
  const service = spawnService(folder)
  const { store } = await enrol(await service.ready(), folder, 'edge')
  await operateJson(folder, ['backup', '--out', out])
  await stop(service)
  const { memory } = await temporalKeyFolders(folder)
  expect((await readdir(memory, { recursive: true })).length).toBeGreaterThan(17)
  const rootKey = join(out, 'kept-root-key')
  await cp(join(folder, 'root-key'), rootKey)
  const aside = `${folder}-aside`
  await rename(folder, aside)
  onTestFinished(() => removeServiceFolder(aside))
  await mkdir(folder, { mode: 0o711 })

  await operateJson(folder, ['restore', '--from', out, '--root-key', rootKey])
  expect(await readdir(memory)).toEqual([])
  const url = await spawnService(folder).ready()
  expect((await (await openDevice({ store, url })).exchange()).session).toBeDefined()
})

test('temporal keys that the database does not know, because it is an older one, are destroyed at the start', async () => {
  const folder = await makeTestFolder()
  const first = spawnService(folder)
  await first.ready()
  await stop(first)
  const { memory } = await temporalKeyFolders(folder)
  const [home = ''] = await readdir(memory)
  const unknown = ['epoch-9000000-0', 'bucket-5000000-3']
  for (const name of unknown) await writeFile(join(memory, home, name), 'x'.repeat(67), { mode: 0o600 })
  const doctor = await operate(folder, ['doctor'])
  expect(doctor.stdout).toMatch(/1 keys are still there whose time is over/)

  const service = spawnService(folder)
  const url = await service.ready()
  expect((await readdir(join(memory, home))).filter((name) => unknown.includes(name))).toEqual([])
  expect((await (await enrollClient(url, folder)).exchange()).session).toBeDefined()
  const events = await listEvents(folder, 'temporal_key.unknown_destroyed')
  expect(new Set(events.map(({ subject }) => subject.number))).toEqual(new Set([5_000_000, 9_000_000]))
  expect(events).toHaveLength(2)
})
