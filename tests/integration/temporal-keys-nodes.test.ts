import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { tokenProof } from '../../protocol/exchange/epochs.ts'
import { bucketsAnswer } from '../../protocol/exchange/messages.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import {
  call,
  enrollTestDevice,
  establish,
  fetchCertificates,
  initiate,
  refusal,
  type TestDevice,
} from '../support/api.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { crypto as primitives, startTestService, type TestService } from '../support/service.ts'

/** A node looks every second whether its keys are the newest. */
const WITHIN = { timeout: 10_000, interval: 100 }

describe.skipIf(!hasRedis)('two nodes whose temporal keys are in one Redis', () => {
  let redis: TestRedis
  let service: TestService
  let nodes: { url: string }[]
  let device: TestDevice
  const rootKid = randomUUID()

  async function openStore(): Promise<TemporalKeyStore> {
    const connection = openRedis({
      url: redis.url,
      name: 'temporal',
      logger: createLogger('silent'),
      answerWithinMs: 500,
    })
    closing.push(() => connection.disconnect())
    await waitForRedis(connection, 'temporal')
    return openRedisTemporalKeyStore(connection, rootKid)
  }
  const closing: (() => void)[] = []

  beforeAll(async () => {
    redis = await startTestRedis()
    const store = await openStore()
    service = await startTestService({ wrapStore: () => store })
    nodes = [service, await service.startNode({ store: await openStore() })]
    device = await enrollTestDevice(service)
  })
  afterAll(async () => {
    await service.close()
    for (const close of closing) close()
    await redis.stop()
  })

  const readinessOf = async (node: { url: string } | undefined) =>
    (await call(node as { url: string }, 'GET', '/ready')).body as {
      status: string
      checks: Record<string, { ok: boolean; detail?: string }>
    }
  const becomeReady = () =>
    vi.waitFor(async () => {
      for (const node of nodes) expect(await readinessOf(node)).toMatchObject({ status: 'ready' })
    }, WITHIN)
  const exchangeAt = async (node: { url: string }, certificate = 0) => {
    const { body } = await call(node, 'GET', '/v1/buckets')
    const { wire } = await initiate(service, device, bucketsAnswer.parse(body).certificates[certificate])
    return call(node, 'POST', '/v1/exchanges', { body: wire })
  }
  const look = (node: { url: string }, token: string) => call(node, 'GET', `/v1/devices/${device.deviceId}`, { token })
  async function listEvents(type: string) {
    const { rows } = await service.database.sql.query<{
      event: { subject: { generation: number }; data: { how?: string } }
    }>(`select entry::jsonb as event from audit_outbox where entry::jsonb ->> 'type' = $1 order by seq`, [
      `temporal_key.${type}`,
    ])
    return rows.map(({ event }) => event)
  }
  async function generations(): Promise<number[]> {
    const { rows } = await service.database.sql.query<{ generation: number }>(
      'select distinct generation from temporal_key where destroyed_at is null order by 1',
    )
    return rows.map(({ generation }) => generation)
  }

  test('serve each other’s sessions and certificates', async () => {
    await becomeReady()
    const { accessToken } = await establish(service, device)
    for (const node of nodes) {
      expect((await look(node, accessToken)).status).toBe(200)
      expect((await exchangeAt(node)).status).toBe(201)
      expect(bucketsAnswer.parse((await call(node, 'GET', '/v1/buckets')).body).certificates).toEqual(
        await fetchCertificates(service),
      )
    }
  })

  test.each([
    ['was flushed', async () => void (await redis.client.flushall())],
    [
      'was killed and came back empty',
      async () => {
        await redis.kill()
        await redis.restart()
      },
    ],
  ])('end every session when the store %s, and go on with the next generation, both of them', async (_what, lose) => {
    await becomeReady()
    const session = await establish(service, device)
    const [old] = await fetchCertificates(service)
    const before = await generations()
    await lose()
    await vi.waitFor(async () => {
      for (const node of nodes) {
        const { status, checks } = await readinessOf(node)
        expect(status).toBe('not_ready')
        expect(checks.temporalKeys?.detail).toMatch(/ of \d+ temporal keys were lost from their store/)
      }
    }, WITHIN)

    await service.tick()
    expect(await generations()).toEqual([...before, Math.max(...before) + 1])
    await becomeReady()
    const { sessionId, epoch, chain } = session
    const nonce = primitives.randomBytes(32)
    const proof = toBase64url(tokenProof(primitives, chain, { sessionId, epoch, nonce }))
    for (const node of nodes) {
      await vi.waitFor(async () => {
        expect(refusal(await look(node, session.accessToken))).toEqual({ status: 401, code: 'unauthenticated' })
      }, WITHIN)
      const body = { deviceId: device.deviceId, epoch, nonce: toBase64url(nonce), proof }
      const renewed = await call(node, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })
      expect(refusal(renewed)).toEqual({ status: 409, code: 'session_state' })
      const { wire } = await initiate(service, device, old)
      const late = await call(node, 'POST', '/v1/exchanges', { body: wire })
      expect(refusal(late)).toEqual({ status: 401, code: 'exchange_refused' })
      expect((await exchangeAt(node)).status).toBe(201)
    }
    const again = await establish(service, device)
    for (const node of nodes) expect((await look(node, again.accessToken)).status).toBe(200)
  })

  test('say of the lost generations that they were only seen to be gone, and of the newest that it was erased', async () => {
    const hows = async () => (await listEvents('destroyed')).map(({ subject, data }) => [subject.generation, data.how])
    const before = (await hows()).length
    const newest = Math.max(...(await generations()))
    service.time.now = (bucketAt(service.time.now) + 1) * BUCKET_MS + GRACE_MS
    await service.tick()
    const told = (await hows()).slice(before)
    expect(told.filter(([generation]) => generation === newest).map(([, how]) => how)).toEqual(['erased', 'erased'])
    expect(told.filter(([generation]) => generation !== newest).length).toBeGreaterThan(0)
    for (const [generation, how] of told) if (generation !== newest) expect(how).toBe('observed')
    service.time.now += BUCKET_MS / 2 - GRACE_MS
    await service.tick()
  })

  test('that hold their keys go on while the store is away, and say so; one that holds none does not', async () => {
    await becomeReady()
    for (const node of nodes) expect((await exchangeAt(node)).status).toBe(201)
    const fresh = await service.startNode({ store: await openStore() })
    await redis.kill()
    onTestFinished(async () => {
      await redis.restart()
      await vi.waitFor(() => service.tick(), WITHIN)
      await becomeReady()
    })
    for (const node of nodes) {
      expect((await exchangeAt(node)).status).toBe(201)
      const { status, checks } = await readinessOf(node)
      expect(status).toBe('ready')
      expect(checks.temporalKeys).toMatchObject({ ok: true, detail: expect.stringMatching(/does not serve/) })
    }
    expect(await readinessOf(fresh)).toMatchObject({ status: 'not_ready', checks: { temporalKeys: { ok: false } } })
    const { wire } = await initiate(service, device)
    const refused = await call(fresh, 'POST', '/v1/exchanges', { body: wire })
    expect(refusal(refused)).toEqual({ status: 503, code: 'unavailable' })
    expect(refused.body.detail).toBe('The store of temporal keys is away.')
  })

  test('are not ready when the worker is late, use no key whose time is over, and are ready when it comes', async () => {
    await becomeReady()
    const { epoch } = await establish(service, device)
    service.time.now = (epoch + 1) * BUCKET_MS + 1_000
    for (const node of nodes) {
      const { status, checks } = await readinessOf(node)
      expect(status).toBe('not_ready')
      expect(checks.temporalKeys?.detail).toMatch(`The key of bucket ${epoch + 2} is missing. `)
      expect(checks.schedule?.ok).toBe(true)
    }
    service.time.now = (epoch + 1) * BUCKET_MS + 2 * GRACE_MS
    for (const node of nodes) {
      expect((await readinessOf(node)).checks.schedule).toMatchObject({
        ok: false,
        detail: expect.stringMatching(/^\d+ temporal keys are overdue: no worker destroys them/),
      })
    }
    expect((await service.store.list()).filter(({ number }) => number === epoch)).not.toEqual([])
    const { wire } = await initiate(service, device)
    expect((await call(service, 'POST', '/v1/exchanges', { body: { ...wire, bucket: epoch } })).body.code).toBe(
      'bucket_out_of_window',
    )
    await service.tick()
    await becomeReady()
    const inStore = await service.store.list()
    expect(inStore.filter(({ number }) => number <= epoch)).toEqual([])
  })

  test('make and destroy nothing while the clock is an hour behind, are not ready, and lose nothing by it', async () => {
    await becomeReady()
    const { accessToken } = await establish(service, device)
    const right = service.time.now
    const keys = JSON.stringify((await service.store.list()).sort(byName))
    service.time.now = right - 3_600_000
    await service.tick().catch(() => undefined)
    for (const node of nodes) expect(await readinessOf(node)).toMatchObject({ status: 'not_ready' })
    expect(JSON.stringify((await service.store.list()).sort(byName))).toBe(keys)
    service.time.now = right
    await service.tick()
    await becomeReady()
    expect(JSON.stringify((await service.store.list()).sort(byName))).toBe(keys)
    for (const node of nodes) expect((await look(node, accessToken)).status).toBe(200)
  })
})

function byName(one: object, other: object): number {
  return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1
}
