import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findCluster, isRoot, makeDataFolder, query, removeDataFolder, start, startOwner } from '../support/embedded.ts'
import { installFakePostgres, installPostgres, makeCheckout } from '../support/embedded-checkout.ts'

const nobody = 65_534

/** A data folder that no other user may enter. */
async function makePrivateFolder(): Promise<string> {
  const folder = join(await makeDataFolder(), 'private')
  await mkdir(folder, { mode: 0o700 })
  onTestFinished(() => removeDataFolder(folder))
  return folder
}

async function makeOpenCheckout() {
  const checkout = await makeCheckout()
  await chmod(join(checkout.modulePath, '../..'), 0o755)
  return checkout
}

describe('the programs', () => {
  test('without a package for the platform, the hint is DATABASE_URL', async () => {
    const folder = await makeDataFolder()
    const { answer } = await startOwner(folder, (await makeCheckout()).modulePath)
    expect(answer.code).toBe('unsupported_platform')
    expect(answer.message).toMatch(/not installed; run npm ci. Set DATABASE_URL/)
  })

  test('programs that do not run here are reported with what the system said', async () => {
    const checkout = await makeOpenCheckout()
    await installFakePostgres(checkout, '')
    await writeFile(join(checkout.packageFolder, 'native/bin/postgres'), '#!/bin/sh\necho no libc >&2; exit 127\n')
    const { answer } = await startOwner(await makeDataFolder(), checkout.modulePath)
    expect(answer.code).toBe('unsupported_platform')
    expect(answer.message).toMatch(/does not run on this machine \(no libc\)/)
  })

  test('a failed initdb shows its words and leaves nothing', async () => {
    const folder = await makeDataFolder()
    const checkout = await makeOpenCheckout()
    await installFakePostgres(checkout, 'echo "initdb: error: disk is full" >&2; exit 1')
    const { answer } = await startOwner(folder, checkout.modulePath)
    expect(answer.code).toBe('initdb_failed')
    expect(answer.message).toContain('initdb: error: disk is full')
    expect(await readdir(folder)).toEqual(['postgres.lock'])
  })
})

describe.skipIf(!isRoot)('as root (skipped for an ordinary user)', () => {
  test('a folder that the unprivileged user cannot enter keeps its data below /var/lib/qflare', async () => {
    const folder = await makePrivateFolder()
    const first = await start(folder)
    expect(first.host).toMatch(/^\/var\/lib\/qflare\/[0-9a-f]{16}\/postgres$/)
    expect(await readFile(join(folder, 'postgres-location'), 'utf8')).toBe(`${first.host}\n`)
    expect(await readdir(folder)).not.toContain('postgres')
    const { uid, mode } = await stat(first.host)
    expect([uid === 0, mode & 0o777]).toEqual([false, 0o700])
    await query(first, 'create table kept as select 42 as answer')
    await first.stop()

    // also under another name, which would have another hash
    const moved = `${folder}-moved`
    await rename(folder, moved)
    onTestFinished(() => removeDataFolder(moved))
    const second = await start(moved)
    expect(await query(second, 'select answer from kept')).toEqual([42])
    await second.stop()
    expect((await startOwner(moved)).answer.host).toBe(first.host)
  })

  test('recorded data that is gone is an error, never an empty database', async () => {
    const folder = await makePrivateFolder()
    const postgres = await start(folder)
    await postgres.stop()
    const { host } = postgres
    await rm(host, { recursive: true })
    await expect(start(folder)).rejects.toMatchObject({
      code: 'data_unreachable',
      message: expect.stringContaining(`the PostgreSQL data is in ${host}, but it is not there`) as unknown,
    })
    await expect(stat(host)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a new data folder in the place of an old one neither inherits nor destroys its data', async () => {
    const folder = await makePrivateFolder()
    const first = await start(folder)
    await query(first, 'create table kept as select 42 as answer')
    await first.stop()
    const record = await readFile(join(folder, 'postgres-location'), 'utf8')
    await rm(folder, { recursive: true })

    const second = await start(folder)
    expect(second.host).toBe(`${first.host}-2`)
    await expect(query(second, 'select answer from kept')).rejects.toMatchObject({ code: '42P01' })
    await second.stop()
    await writeFile(join(folder, 'postgres-location'), record)
    expect(await query(await start(folder), 'select answer from kept')).toEqual([42])
  })

  test('data of an ordinary user is served as that user', async () => {
    const folder = await makeDataFolder()
    const first = await start(folder)
    await first.stop()
    await chownTree(await findCluster(folder), nobody)
    const second = await start(folder)
    expect(await query(second, 'select 1')).toEqual([1])
    expect((await stat(`/proc/${second.processId}`)).uid).toBe(nobody)
  })

  test('data that belongs to root is refused', async () => {
    const folder = await makeDataFolder()
    await (await start(folder)).stop()
    await chown(join(folder, 'postgres/data'), 0, 0)
    await expect(start(folder)).rejects.toMatchObject({ code: 'data_unreachable' })
  })

  test('programs that the unprivileged user cannot reach are copied once', async () => {
    const version = `18.0.0-test-${randomBytes(6).toString('hex')}`
    const copy = `/var/lib/qflare/postgresql-${version}`
    const checkout = await makeCheckout()
    await installPostgres(checkout, version)
    onTestFinished(() => rm(copy, { recursive: true, force: true }))

    const first = await startOwner(await makeDataFolder(), checkout.modulePath)
    expect(first.answer.host).toBeDefined()
    expect(await readFile(`/proc/${first.answer.processId}/cmdline`, 'utf8')).toMatch(`${copy}/bin/postgres`)
    const { ino, uid, mode } = await stat(copy)
    expect([uid, mode & 0o777]).toEqual([0, 0o755])

    const second = await startOwner(await makeDataFolder(), checkout.modulePath)
    expect(second.answer.host).toBeDefined()
    expect((await stat(copy)).ino).toBe(ino)
    expect((await readdir('/var/lib/qflare')).filter((name) => name.includes(`${version}.new-`))).toEqual([])
  })
})

async function chownTree(folder: string, id: number): Promise<void> {
  await chown(folder, id, id)
  for (const name of await readdir(folder, { recursive: true })) await chown(join(folder, name), id, id)
}
