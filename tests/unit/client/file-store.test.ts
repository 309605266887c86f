import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { chmod, chown, readFile, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFileStore } from '../../../client/file-store.ts'
import { createMemoryStore } from '../../../client/memory-store.ts'
import { deviceStoreContract, newSession, newState } from '../../support/device-store-contract.ts'
import { NOBODY } from '../../support/other-user.ts'
import { codeOf } from './setup.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-store-'))
  file = join(folder, 'state', 'device.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

describe.each(['memory', 'file'])('a store in %s', (kind) => {
  it.each(Object.entries(deviceStoreContract))('%s', async (_guarantee, check) => {
    const memory = createMemoryStore()
    await check(() => (kind === 'memory' ? memory : createFileStore(file)))
  })
})

describe('the file of a device', () => {
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

  it('has mode 0600 in a folder of mode 0700, whatever the umask, and leaves nothing beside it', async () => {
    const before = process.umask(0)
    try {
      await createFileStore(file).save(await newState())
    } finally {
      process.umask(before)
    }
    expect([mode(file), mode(join(folder, 'state'))]).toEqual(['600', '700'])
    expect(readdirSync(join(folder, 'state'))).toEqual(['device.json'])
  })

  it.each([0o640, 0o604, 0o660, 0o644])('is refused when others have rights to it (%o)', async (rights) => {
    await createFileStore(file).save(await newState())
    await chmod(file, rights)
    await expect(createFileStore(file).load()).rejects.toMatchObject({
      code: 'state_unusable',
      message: expect.stringContaining('chmod 600'),
    })
    expect(await codeOf(createFileStore(file).save({ ...(await newState()), revision: 2 }))).toBe('state_unusable')
  })

  it.runIf(process.getuid?.() === 0)('is refused when it belongs to another user', async () => {
    await createFileStore(file).save(await newState())
    await chown(file, NOBODY, NOBODY)
    await expect(createFileStore(file).load()).rejects.toMatchObject({
      code: 'state_unusable',
      message: expect.stringContaining(`belongs to another user (uid ${NOBODY})`),
    })
    expect(await codeOf(createFileStore(file).save({ ...(await newState()), revision: 2 }))).toBe('state_unusable')
  })

  it('stays whole when a save fails', async () => {
    const store = createFileStore(file)
    const state = await newState()
    await store.save(state)
    const before = await readFile(file, 'utf8')
    const bad = { ...state, revision: 2, identity: { ...state.identity, seed: new Uint8Array(5) } }
    expect(await codeOf(store.save({ ...bad, trust: undefined as never }))).toBe('state_unusable')
    expect(await readFile(file, 'utf8')).toBe(before)
    expect(readdirSync(join(folder, 'state'))).toEqual(['device.json'])
    await store.save({ ...state, revision: 2 })
  })

  it('is replaced, not written over', async () => {
    const store = createFileStore(file)
    const state = await newState()
    await store.save(state)
    const { ino } = statSync(file)
    await store.save({ ...state, revision: 2 })
    expect(statSync(file).ino).not.toBe(ino)
  })

  it('is freed from the lock of a process that died, not from that of one that writes', async () => {
    const store = createFileStore(file)
    const state = await newState()
    await store.save(state)
    await writeFile(`${file}.next`, 'half')
    const waiting = codeOf(store.save({ ...state, revision: 2 }))
    await expect(waiting).resolves.toBe('state_changed')
    const longAgo = new Date(Date.now() - 60_000)
    await utimes(`${file}.next`, longAgo, longAgo)
    await store.save({ ...state, revision: 2 })
    expect(await store.load()).toMatchObject({ revision: 2 })
  })

  it.each(['', '{', '{}', '{"version":2}'])('is refused when it holds %j', async (text) => {
    await createFileStore(file).prepare()
    await writeFile(file, text, { mode: 0o600 })
    await expect(createFileStore(file).load()).rejects.toMatchObject({
      code: 'state_unusable',
      message: expect.stringContaining('device.json'),
    })
  })

  it('is refused with an unknown member', async () => {
    const store = createFileStore(file)
    await store.save(await newState())
    const stored = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...stored, more: 1 }))
    expect(await codeOf(store.load())).toBe('state_unusable')
  })

  it('holds no byte of an erased chain, nor is there another file that does', async () => {
    const store = createFileStore(file)
    const state = await newState()
    const chain = Uint8Array.from({ length: 64 }, (_, index) => index + 100)
    await store.save({ ...state, session: newSession(chain) })
    expect(await readFile(file, 'utf8')).toContain(Buffer.from(chain).toString('base64url'))
    await store.save({ ...state, revision: 2 })
    expect(readdirSync(join(folder, 'state'))).toEqual(['device.json'])
    expect(await readFile(file, 'utf8')).not.toContain(Buffer.from(chain).toString('base64url'))
  })

  it('makes its own folder, and no tree of folders, before a token is spent', async () => {
    const astray = join(folder, 'no', 'such', 'device.json')
    await expect(createFileStore(astray).prepare()).rejects.toMatchObject({
      code: 'state_unusable',
      message: expect.stringContaining(join(folder, 'no', 'such')),
    })
    expect(readdirSync(folder)).toEqual([])
    await createFileStore(file).prepare()
    expect(readdirSync(folder)).toEqual(['state'])
  })

  it('cannot be where it cannot be made', async () => {
    await writeFile(join(folder, 'state'), 'a file')
    expect(await codeOf(createFileStore(file).prepare())).toBe('state_unusable')
  })
})
