import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import type { DeviceStore } from '../../client/device-state.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { createToken, stored } from '../support/api.ts'
import { type Proxy, startProxy, type Treatment } from '../support/proxy.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** The library against the real service, with a network and a machine that fail wherever they can. */

let service: TestService
let proxy: Proxy
beforeAll(async () => {
  service = await startTestService()
  proxy = await startProxy(service.url)
})
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await service?.close()
})

const now = () => service.time.now

async function enrolled(wait = async () => {}) {
  const store = createMemoryStore()
  const { token } = await createToken(service)
  await enrollDevice({ url: proxy.url, token, store, name: 'edge', now })
  return { store, device: await openDevice({ store, now, wait }) }
}

async function keyAtServer(deviceId: string): Promise<string> {
  const { rows } = await service.database.sql.query(
    `select kid from identity_key where principal_id = $1 and status = 'ACTIVE'`,
    [deviceId],
  )
  return rows[0].kid
}

/** Device and server have one key, and a session in which they agree. Gives its `kid`. */
async function expectWhole(device: QflareDevice, store: DeviceStore): Promise<string> {
  const { deviceId, identityKey } = await device.status()
  expect(identityKey.kid).toBe(await keyAtServer(deviceId))
  expect((await store.load())?.nextIdentity).toBeUndefined()
  const { key, sessionId, epoch } = await device.key('encryption')
  expect(Buffer.from(key).equals(await service.deriveKey({ sessionId, epoch, purpose: 'encryption' }))).toBe(true)
  return identityKey.kid
}

/** The requests of one rotation, in order, with `:id` in the place of ids. */
async function linesOfRotation(): Promise<string[]> {
  const { device } = await enrolled()
  const lines: string[] = []
  proxy.treat = (line) => {
    lines.push(line.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ':id'))
    return 'forward'
  }
  await device.rotateIdentity()
  proxy.treat = () => 'forward'
  return lines
}

test('a device replaces its key and stays who it is, with a session that both ends have', async () => {
  const { device, store } = await enrolled()
  const before = await device.exchange()
  service.time.now += 1_000
  const after = await device.rotateIdentity()
  expect(after).toMatchObject({ deviceId: before.deviceId, spiffeId: before.spiffeId, name: before.name })
  expect(after.identityKey).toEqual({ kid: expect.any(String), alg: 'ML-DSA-44', since: service.time.now })
  expect(after.identityKey.kid).not.toBe(before.identityKey.kid)
  expect(after.session?.sessionId).not.toBe(before.session?.sessionId)
  await expectWhole(device, store)
  const { identityKey } = await device.rotateIdentity({ alg: 'ML-DSA-87' })
  expect(identityKey.alg).toBe('ML-DSA-87')
  expect((await device.rotateIdentity()).identityKey.alg, 'that of the key before').toBe('ML-DSA-87')
  await expectWhole(device, store)
})

test('whichever answer is lost once, the rotation is one, and ends well', async () => {
  for (const at of (await linesOfRotation()).keys()) {
    const { device, store } = await enrolled()
    const { identityKey, deviceId } = await device.status()
    let count = 0
    proxy.treat = () => (count++ === at ? 'lose-answer' : 'forward')
    await device.rotateIdentity()
    proxy.treat = () => 'forward'
    expect(await expectWhole(device, store)).not.toBe(identityKey.kid)
    expect((await stored(service, deviceId)).events).toMatchObject({ 'device.identity_rotated': 1 })
  }
})

describe('a device that is cut off in a rotation', () => {
  /** Fails for good where it stops: a library that waits to try again waits for ever. */
  const cutOff = async () => {
    throw new Error('cut off')
  }

  /** The machine comes back with what is in the store. */
  async function expectRecovery(store: DeviceStore, old: string, laterMs: number): Promise<void> {
    proxy.treat = () => 'forward'
    service.time.now += laterMs
    await service.tick()
    const device = await openDevice({ store, now })
    const { deviceId } = await device.exchange()
    const { identityKey } = await device.status()
    expect(identityKey.kid, 'found by an exchange').toBe(await keyAtServer(deviceId))
    if (identityKey.kid === old) await device.rotateIdentity()
    expect(await expectWhole(device, store)).not.toBe(old)
  }

  // Of ten requests, four make the session before, and four the one afterwards.
  test.each<[Treatment, number, number[]]>([
    ['lose-request', 0, [3, 4, 5, 6, 7, 8, 9]],
    ['lose-answer', 0, [3, 4, 5, 6, 7, 8, 9]],
    ['lose-request', 600_000, [5, 6]],
    ['lose-answer', 600_000, [4, 5]],
  ])(
    'at any request (%s) finds %i ms later which key the server has, and ends with a new one',
    async (treatment, ms, places) => {
      expect(await linesOfRotation()).toHaveLength(10)
      for (const at of places) {
        const { device, store } = await enrolled(cutOff)
        const old = (await device.status()).identityKey.kid
        let count = 0
        proxy.treat = () => (count++ >= at ? treatment : 'forward')
        await expect(device.rotateIdentity()).rejects.toThrow('cut off')
        await expectRecovery(store, old, ms)
      }
    },
  )

  test('at any save, before it or after it, does so too', async () => {
    let saves = Number.POSITIVE_INFINITY
    for (let at = 0; at < saves; at++) {
      for (const isStored of [false, true]) {
        const { store, device: whole } = await enrolled()
        const old = (await whole.status()).identityKey.kid
        let count = 0
        const dying: DeviceStore = {
          ...store,
          async save(state) {
            const isLast = count++ === at
            if (!isLast || isStored) await store.save(state)
            if (isLast) throw new Error('cut off')
          },
        }
        const device = await openDevice({ store: dying, now })
        const outcome = await device.rotateIdentity().catch((error: unknown) => error)
        if (count <= at) saves = count
        else expect(outcome).toMatchObject({ message: 'cut off' })
        await expectRecovery(store, old, 0)
      }
    }
    expect(saves).toBeGreaterThan(4)
  })
})

test('a completion that arrives long after its sender gave up brings no key that the device has not', async () => {
  const { device, store } = await enrolled(async () => {
    throw new Error('cut off')
  })
  proxy.treat = (line) => (/rotate-identity\/./.test(line) ? 'lose-request' : 'forward')
  await expect(device.rotateIdentity()).rejects.toThrow('cut off')
  proxy.treat = () => 'forward'
  const pending = (await store.load())?.nextIdentity
  service.time.now += 600_000
  await service.tick()
  const { identityKey } = await (await openDevice({ store, now })).rotateIdentity()
  expect(identityKey.kid).toBe(pending?.kid)
})

test('who says that the server has the new key, when it has not, does not make the device forget the old one', async () => {
  const { store } = await enrolled()
  let kid = ''
  const watched: DeviceStore = {
    ...store,
    async save(state) {
      await store.save(state)
      kid = state.nextIdentity?.kid ?? kid
    },
  }
  const device = await openDevice({ store: watched, now })
  const { deviceId, identityKey, spiffeId } = await device.status()
  const times = { appraisedAt: 0, expiresAt: 0 }
  const attestation = { id: deviceId, tier: 'none', policyId: 'none', ...times, ear: '' }
  proxy.treat = (line) => {
    const answer = { deviceId, spiffeId, status: 'ACTIVE', identityKey: { kid, alg: identityKey.alg }, attestation }
    return /rotate-identity\/./.test(line) ? { answer } : 'forward'
  }
  await expect(device.rotateIdentity()).rejects.toMatchObject({ code: 'bad_answer' })
  proxy.treat = () => 'forward'
  expect(await keyAtServer(deviceId)).toBe(identityKey.kid)
  expect((await device.exchange()).identityKey.kid).toBe(identityKey.kid)
  expect((await device.rotateIdentity()).identityKey.kid).toBe(kid)
  await expectWhole(device, store)
})

test('two processes of one device that rotate at once end with one key', async () => {
  for (let round = 0; round < 4; round++) {
    const { device, store } = await enrolled()
    const { identityKey, deviceId } = await device.status()
    const other = await openDevice({ store, now, wait: async () => {} })
    const outcomes = await Promise.allSettled([device.rotateIdentity(), other.rotateIdentity()])
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
    await device.exchange()
    expect(await expectWhole(device, store)).not.toBe(identityKey.kid)
    const { events } = await stored(service, deviceId)
    expect(events['device.rotation_mismatched']).toBeUndefined()
  }
})
