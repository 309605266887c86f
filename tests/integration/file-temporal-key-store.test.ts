import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, chown, link, mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'
import { isRoot } from '../support/embedded.ts'
import { describeTemporalKeyStore } from '../support/temporal-key-store-contract.ts'

const name = { kind: 'epoch', number: 5_930_000, generation: 0 } as const

async function makeFolder(parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, 'qflare-temporal-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8)
}

describeTemporalKeyStore('a folder', async () => {
  const folder = await makeFolder()
  return { open: () => openFileTemporalKeyStore(folder) }
})

test('the folder is of mode 0700 and a record of mode 0600, whatever the umask', async () => {
  const before = process.umask(0)
  onTestFinished(() => void process.umask(before))
  const folder = join(await makeFolder(), 'deep', 'temporal-keys')
  const store = await openFileTemporalKeyStore(folder)
  await store.makeOnce(name, randomBytes(67))
  expect(await modeOf(folder)).toBe('700')
  expect(await readdir(folder)).toEqual(['epoch-5930000-0'])
  expect(await modeOf(join(folder, 'epoch-5930000-0'))).toBe('600')
})

test('a folder that was open to others is closed', async () => {
  const folder = await makeFolder()
  await chmod(folder, 0o755)
  await openFileTemporalKeyStore(folder)
  expect(await modeOf(folder)).toBe('700')
})

test.skipIf(!isRoot)('the folder of another user is refused', async () => {
  const folder = await makeFolder()
  await chown(folder, 65534, 65534)
  await expect(openFileTemporalKeyStore(folder)).rejects.toThrow(`${folder} belongs to another user`)
})

test('what a crash left of a write is no key, and does not hinder the next writer', async () => {
  const folder = await makeFolder()
  await writeFile(join(folder, `.draft-epoch-5930000-0-${randomUUID()}`), randomBytes(30))
  const store = await openFileTemporalKeyStore(folder)
  expect(await store.find(name)).toBeUndefined()
  const record = randomBytes(67)
  expect(await store.makeOnce(name, record)).toEqual(record)
})

test('a second name of a record, left by a crash, is destroyed with it, and no other key’s', async () => {
  const folder = await makeFolder()
  const store = await openFileTemporalKeyStore(folder)
  const record = randomBytes(67)
  for (const generation of [0, 1]) {
    await store.makeOnce({ ...name, generation }, record)
    const draft = `.draft-epoch-5930000-${generation}-${randomUUID()}`
    await link(join(folder, `epoch-5930000-${generation}`), join(folder, draft))
  }
  expect(await store.destroy(name)).toBe(true)
  const left = await readdir(folder)
  expect(left.sort()).toEqual([expect.stringMatching(/^\.draft-epoch-5930000-1-/), 'epoch-5930000-1'])
})

test('a record that a crash left under its second name only is gone after destruction', async () => {
  const folder = await makeFolder()
  await writeFile(join(folder, `.draft-epoch-5930000-0-${randomUUID()}`), randomBytes(67))
  const store = await openFileTemporalKeyStore(folder)
  expect(await store.destroy(name)).toBe(false)
  expect(await readdir(folder)).toEqual([])
})

test.each(['/dev/shm', tmpdir()])('a record in %s is erasable where that is a memory file system', async (parent) => {
  const fileSystem = await statfs(parent).catch(() => undefined)
  if (fileSystem === undefined) return
  const tmpfs = 0x01021994
  expect((await openFileTemporalKeyStore(await makeFolder(parent))).isErasable).toBe(fileSystem.type === tmpfs)
})

test('each data folder has its own folder for temporal keys, with mode 0700, and a foreign one is not used', async () => {
  const [one, other] = [await makeFolder(), await makeFolder()]
  const folders = [await temporalKeyFolder(one), await temporalKeyFolder(other), await temporalKeyFolder(`${one}/.`)]
  onTestFinished(async () => {
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
  })
  expect(folders[2]).toBe(folders[0])
  expect(folders[1]).not.toBe(folders[0])
  const [folder] = folders as [string]
  if (!folder.startsWith('/dev/shm/')) return
  expect(await modeOf(folder)).toBe('700')
  await chmod(folder, 0o755)
  expect(await temporalKeyFolder(one)).toBe(join(one, 'temporal-keys'))
})

test('a record is stored as it is given', async () => {
  const folder = await makeFolder()
  const store = await openFileTemporalKeyStore(folder)
  const record = randomBytes(99)
  await store.makeOnce({ kind: 'bucket', number: 7, generation: 2 }, record)
  expect(await readFile(join(folder, 'bucket-7-2'))).toEqual(record)
})
