import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DeviceOptions, openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createFileStore } from '../../client/file-store.ts'
import { openOperator } from '../../client/operator.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { createToken } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let folder: string

beforeAll(async () => {
  service = await startTestService()
  folder = await mkdtemp(join(tmpdir(), 'qflare-device-'))
})
afterAll(async () => {
  await service?.close()
  await rm(folder, { recursive: true, force: true })
})

/** A device whose pauses pass at once, for it and for the service; `clockErrorMs` is how wrong its own clock is. */
async function keptDevice(name: string, more: { clockErrorMs?: number } = {}) {
  const { clockErrorMs = 0 } = more
  const file = join(folder, `${name}.json`)
  const store = createFileStore(file)
  const now = () => service.time.now + clockErrorMs
  const controller = new AbortController()
  const world = { atPause: async () => {}, controller, file, store }
  const wait: DeviceOptions['wait'] = async (ms, signal) => {
    await world.atPause()
    signal?.throwIfAborted()
    const bucket = bucketAt(service.time.now)
    service.time.now += ms
    if (bucketAt(service.time.now) !== bucket) await service.tick()
  }
  const { token } = await createToken(service)
  await enrollDevice({ url: service.url, token, name, store, now })
  const device = await openDevice({ store, now, monotonicNow: now, wait })
  return Object.assign(world, { device })
}

async function expectServersKey(device: Awaited<ReturnType<typeof keptDevice>>['device']): Promise<string> {
  const { key, sessionId, epoch } = await device.key('encryption')
  const atServer = await service.deriveKey({ sessionId, epoch, purpose: 'encryption' })
  expect(Buffer.from(key).equals(atServer)).toBe(true)
  return `${sessionId} ${epoch}`
}

describe('a device that is kept fresh', () => {
  test.each([0, -3 * 86_400_000, 40 * 60_000])(
    'has the service’s key in every epoch of two hours, its clock %i ms wrong',
    async (clockErrorMs) => {
      const kept = await keptDevice(`clock${clockErrorMs}`, { clockErrorMs })
      const begin = service.time.now
      const keys = new Set<string>()
      const sessions: string[] = []
      let pauses = 0
      kept.atPause = async () => {
        // Looks at every epoch, not at each of its ten pauses.
        if (pauses++ % 5 === 0) keys.add(await expectServersKey(kept.device))
        if (service.time.now > begin + 2 * 3_600_000) kept.controller.abort()
      }
      await kept.device.keepFresh({
        signal: kept.controller.signal,
        onExchange: ({ session }) => void sessions.push(session?.sessionId ?? ''),
        onError(error) {
          throw error
        },
      })
      expect(sessions.length).toBeGreaterThanOrEqual(4)
      expect(sessions.length).toBeLessThanOrEqual(5)
      expect(new Set([...keys].map((key) => key.split(' ')[1])).size).toBeGreaterThanOrEqual(24)
    },
  )

  test('hears of its suspension, and is back when it is resumed', async () => {
    const kept = await keptDevice('suspended')
    const { deviceId } = await kept.device.exchange()
    const operator = openOperator({ url: service.url, apiToken: service.adminToken })
    await operator.suspendDevice(deviceId)
    await expect(kept.device.renewToken(), 'sooner than it is due').rejects.toMatchObject({
      code: 'session_state',
      message: expect.stringContaining('suspended or revoked'),
    })
    service.time.now += 3_600_000
    await service.tick()
    const errors: string[] = []
    await kept.device.keepFresh({
      signal: kept.controller.signal,
      async onError(error) {
        if (errors.push(error.code) === 3) await operator.resumeDevice(deviceId)
      },
      onExchange: () => kept.controller.abort(),
    })
    expect(errors).toEqual(['exchange_refused', 'exchange_refused', 'exchange_refused'])
    await expectServersKey(kept.device)
  })
})

describe('an identity key that is kept fresh', () => {
  const day = 86_400_000

  test('is replaced at the exchange that is due once it is old enough, and not before; without the option never', async () => {
    for (const rotateIdentityAfterMs of [3_600_000, undefined]) {
      const kept = await keptDevice(`identity${rotateIdentityAfterMs}`, { clockErrorMs: -day })
      const begin = service.time.now
      const ages = new Map<string, number>([[(await kept.device.status()).identityKey.kid, 0]])
      kept.atPause = async () => {
        // Each rotation waits for the first exchange after an hour: at most 94 minutes.
        if (service.time.now > begin + 3.2 * 3_600_000) kept.controller.abort()
      }
      await kept.device.keepFresh({
        signal: kept.controller.signal,
        rotateIdentityAfterMs,
        onExchange({ identityKey }) {
          if (!ages.has(identityKey.kid)) ages.set(identityKey.kid, service.time.now - begin)
        },
        onError(error) {
          throw error
        },
      })
      const [, first = 0, second = 0] = ages.values()
      if (rotateIdentityAfterMs === undefined) {
        expect(ages.size).toBe(1)
      } else {
        expect(ages.size).toBeGreaterThanOrEqual(3)
        // At half of a session's life, give or take a tenth, after the hour is over.
        for (const age of [first, second - first]) {
          expect(age).toBeGreaterThanOrEqual(3_600_000)
          expect(age).toBeLessThanOrEqual(3_600_000 + 34 * 60_000)
        }
      }
      await expectServersKey(kept.device)
    }
  })

  test('that the server does not let the device replace costs it no session', async () => {
    const kept = await keptDevice('identity refused')
    await kept.device.exchange()
    service.time.now += 31 * 60_000
    await service.tick()
    await service.database.sql.query(`alter table rotation_challenge add constraint refused check (false) not valid`)
    const errors: string[] = []
    await kept.device.keepFresh({
      signal: kept.controller.signal,
      rotateIdentityAfterMs: 0,
      onError: ({ code }) => {
        errors.push(code)
        kept.controller.abort()
      },
    })
    await service.database.sql.query('alter table rotation_challenge drop constraint refused')
    expect(errors).toHaveLength(1)
    await expectServersKey(kept.device)
  })
})

test('a chain key that is over is in no file of the device any more', async () => {
  const kept = await keptDevice('erased')
  await kept.device.exchange()
  const first = (await kept.store.load())?.session?.chain as Uint8Array
  const text = Buffer.from(first).toString('base64url')
  expect(await readFile(kept.file, 'utf8')).toContain(text)
  service.time.now += BUCKET_MS + GRACE_MS
  await service.tick()
  await expectServersKey(kept.device)
  expect(await readFile(kept.file, 'utf8')).not.toContain(text)
})
