import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { call } from '../support/api.ts'
import {
  makeServiceFolder,
  openAdmin,
  readAdminToken,
  removeServiceFolder,
  spawnService,
} from '../support/service-process.ts'
import { type CollectedSpan, startTraceCollector } from '../support/trace-collector.ts'

let folder: string
beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

/** Of the clocks of a process that a span begins and ends by. */
const MARGIN_NS = 5_000_000n
const within = { timeout: 30_000, interval: 100 }

test('an exchange is a trace from its request to its transactions and its keys, and what it carries is in none of it', async () => {
  const collector = await startTraceCollector()
  const service = spawnService(folder, { QFLARE_TRACES_URL: collector.url, QFLARE_TRACES_RATIO: '1' })
  const url = await service.ready()
  const adminToken = await readAdminToken(folder)
  const { token } = await (await openAdmin(url, folder)).createEnrollmentToken({ kind: 'device' })
  const device = await enrollDevice({ url, token, store: createMemoryStore(), name: 'edge' })
  await device.exchange()
  const found = (name: string) => collector.spans.filter((span) => span.name === name)
  const partsOf = (span: CollectedSpan) => collector.spans.filter((part) => collector.waysUp(part).includes(span))

  await vi.waitFor(() => expect(found('POST /v1/exchanges')).toHaveLength(1), within)
  const [exchange] = found('POST /v1/exchanges') as [CollectedSpan]
  expect(exchange).toMatchObject({ process: 'qflare-api-worker-sequencer', parentSpanId: undefined, isFailed: false })
  expect(exchange.attributes).toMatchObject({ 'http.route': '/v1/exchanges', 'http.response.status_code': 201 })
  const parts = partsOf(exchange)
  expect(parts.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['transaction in one round trip', 'verify', 'encapsulate']),
  )
  for (const part of parts) {
    expect(part.traceId).toBe(exchange.traceId)
    expect(part.startedAt, part.name).toBeGreaterThanOrEqual(exchange.startedAt - MARGIN_NS)
    expect(part.endedAt, part.name).toBeLessThanOrEqual(exchange.endedAt + MARGIN_NS)
  }
  await service.said(new RegExp(`"route":"/v1/exchanges","status":"201","traceId":"${exchange.traceId}"`))

  const jobs = { token: adminToken, body: {} }
  expect((await call({ url }, 'POST', '/v1/jobs/end-sessions/run', jobs)).status).toBe(202)
  await vi.waitFor(() => expect(found('job end-sessions')).not.toEqual([]), within)
  const [job] = found('job end-sessions') as [CollectedSpan]
  expect(partsOf(job).map(({ name }) => name)).toEqual(expect.arrayContaining(['transaction', 'begin', 'commit']))

  expect((await call({ url }, 'GET', '/v1/devices', { token: 'qf_wrong' })).status).toBe(401)
  await vi.waitFor(() => expect(found('GET /v1/devices')).not.toEqual([]), within)
  const statements = collector.spans
    .map(({ attributes }) => attributes['db.query.text'])
    .filter((text) => typeof text === 'string')
  expect(statements).not.toEqual([])
  const sent = collector.bodies.join('\n')
  const [listed] = (await call({ url }, 'GET', '/v1/devices', { token: adminToken })).body.items
  for (const secret of [adminToken, token, listed.id]) expect(sent).not.toContain(secret)
  expect(
    statements.filter((text) => /'[\w:+/=.-]{24,}'/.test(text)),
    'a value in a statement',
  ).toEqual([])

  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
})

test('a collector that is away costs the service nothing but its traces, and is told of once', async () => {
  const collector = await startTraceCollector()
  collector.answerWith(400)
  const service = spawnService(folder, { QFLARE_TRACES_URL: collector.url, QFLARE_TRACES_RATIO: '1' })
  const url = await service.ready()
  await service.said(/traces are lost, the collector does not take them/)
  expect((await call({ url }, 'GET', '/v1/trust')).status).toBe(200)
  collector.answerWith(200)
  await vi.waitFor(async () => {
    await call({ url }, 'GET', '/live')
    expect(service.output.stdout).toContain('traces are taken again')
  }, within)
  expect(service.output.stdout.match(/traces are lost/g)).toHaveLength(1)
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
})

test('without a collector nothing is traced', async () => {
  const service = spawnService(folder)
  const url = await service.ready()
  expect((await call({ url }, 'GET', '/live')).status).toBe(200)
  await service.said(/"route":"\/live"/)
  expect(service.output.stdout).not.toContain('traceId')
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
})
