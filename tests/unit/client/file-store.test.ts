import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { chmod, readFile, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DeviceState, updateDeviceState } from '../../../client/device-state.ts'
import { createFileStore } from '../../../client/file-store.ts'
import { createMemoryStore } from '../../../client/memory-store.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { createFakeAuthority, newUuid } from './fake-authority.ts'
import { codeOf } from './setup.ts'

const crypto = await choosePrimitives()
const bundle = createFakeAuthority(crypto).bundles[0]

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-store-'))
  file = join(folder, 'state', 'device.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

function newState(): DeviceState {
  return {
    version: 1,
    revision: 1,
    serverUrl: 'http://127.0.0.1:8470',
    deviceId: newUuid(crypto),
    kind: 'device',
    name: 'edge-1',
    spiffeId: 'spiffe://test.qflare/default/device/1',
    identity: { alg: 'ML-DSA-44', seed: Uint8Array.from(crypto.randomBytes(32)) },
    trust: bundle as DeviceState['trust'],
    bucketFloor: 0,
  }
}

describe.each([
  ['memory', () => createMemoryStore()],
  ['file', () => createFileStore(file)],
])('a store in %s', (_kind, createStore) => {
  it('loads what was saved, and nothing before', async () => {
    const store = createStore()
    await store.prepare()
    expect(await store.load()).toBeUndefined()
    const state = newState()
    await store.save(state)
    expect((await store.load())?.identity).toEqual(state.identity)
  })

  it('refuses a save that is not based on what is stored', async () => {
    const store = createStore()
    const state = newState()
    await store.save(state)
    expect(await codeOf(store.save(newState()))).toBe('state_changed')
    await store.save({ ...state, revision: 2, bucketFloor: 7 })
    expect(await codeOf(store.save({ ...state, revision: 2, bucketFloor: 3 }))).toBe('state_changed')
    expect(await store.load()).toMatchObject({ revision: 2, bucketFloor: 7 })
  })

  it('keeps every change of writers that meet', async () => {
    const store = createStore()
    await store.save(newState())
    const raise = () => updateDeviceState(store, (state) => ({ ...state, bucketFloor: state.bucketFloor + 1 }))
    await Promise.all([raise(), raise(), raise()])
    expect(await store.load()).toMatchObject({ bucketFloor: 3, revision: 4 })
  })

  it('gives its caller bytes that may be wiped', async () => {
    const store = createStore()
    await store.save(newState())
    ;(await store.load())?.identity.seed.fill(0)
    expect((await store.load())?.identity.seed.some((byte) => byte !== 0)).toBe(true)
  })

  it('changes nothing when there is no device', async () => {
    expect(await codeOf(updateDeviceState(createStore(), (state) => state))).toBe('not_enrolled')
  })
})

describe('the file of a device', () => {
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

  it('has mode 0600 in a folder of mode 0700, whatever the umask, and leaves nothing beside it', async () => {
    const before = process.umask(0)
    try {
      await createFileStore(file).save(newState())
    } finally {
      process.umask(before)
    }
    expect([mode(file), mode(join(folder, 'state'))]).toEqual(['600', '700'])
    expect(readdirSync(join(folder, 'state'))).toEqual(['device.json'])
  })

  it.each([0o640, 0o604, 0o660, 0o644])('is refused when others have rights to it (%o)', async (rights) => {
    await createFileStore(file).save(newState())
    await chmod(file, rights)
    await expect(createFileStore(file).load()).rejects.toMatchObject({
      code: 'state_unusable',
      message: expect.stringContaining('chmod 600'),
    })
    expect(await codeOf(createFileStore(file).save({ ...newState(), revision: 2 }))).toBe('state_unusable')
  })

  it('stays whole when a save fails', async () => {
    const store = createFileStore(file)
    const state = newState()
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
    const state = newState()
    await store.save(state)
    const { ino } = statSync(file)
    await store.save({ ...state, revision: 2 })
    expect(statSync(file).ino).not.toBe(ino)
  })

  it('is freed from the lock of a process that died, not from that of one that writes', async () => {
    const store = createFileStore(file)
    const state = newState()
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
    await store.save(newState())
    const stored = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...stored, more: 1 }))
    expect(await codeOf(store.load())).toBe('state_unusable')
  })

  it('cannot be where it cannot be made', async () => {
    await writeFile(join(folder, 'state'), 'a file')
    expect(await codeOf(createFileStore(file).prepare())).toBe('state_unusable')
  })
})
