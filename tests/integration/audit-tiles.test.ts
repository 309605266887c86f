import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, call } from '../support/api.ts'
import { addEvents, deviceEvent, firstOrganization, logEvents, readEntries } from '../support/audit.ts'
import { type PlainTree, plainTreeOf } from '../support/plain-merkle.ts'
import { expectRefusal, sendRaw } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** The tiles of C2SP tlog-tiles, for anyone, held against a tree that shares no code with the service. */

const SIZE = 1_300
let service: TestService
let organizationId: string
let tree: PlainTree

beforeAll(async () => {
  service = await startTestService()
  organizationId = await firstOrganization(service)
  // In batches that end within tiles, so that a tile is of several rows.
  for (const count of [3, 100, 200, 256, 301]) await logEvents(service, organizationId, count)
  await logEvents(service, organizationId, SIZE - (await readEntries(service)).length)
  await readTree()
}, 120_000)
afterAll(() => service.close())

async function readTree(): Promise<number> {
  const all = await readEntries(service)
  tree = plainTreeOf(all.map(({ entry }) => new TextEncoder().encode(entry)))
  return all.length
}

const get = (path: string): Promise<Answer> => call(service, 'GET', `/v1/audit/tile/${path}`)

async function fetchTile(path: string): Promise<{ bytes: Buffer; headers: Headers }> {
  const response = await fetch(`${service.url}/v1/audit/tile/${path}`)
  expect({ path, status: response.status }).toEqual({ path, status: 200 })
  return { bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers }
}

/** Hashes `from` to `to` of a level, side by side. */
function expected(level: number, from: number, to: number): Buffer {
  const width = 256n ** BigInt(level)
  const at = (index: number) => tree.root(BigInt(index) * width, BigInt(index + 1) * width)
  return Buffer.concat(Array.from({ length: to - from }, (_, i) => at(from + i)))
}

test('every full tile has the 256 hashes of its place', async () => {
  expect(await readTree()).toBe(SIZE)
  for (let tile = 0; tile < 5; tile++) {
    const { bytes } = await fetchTile(`0/00${tile}`)
    expect(bytes.equals(expected(0, 256 * tile, 256 * tile + 256)), `tile ${tile}`).toBe(true)
  }
})

test('a partial tile has exactly as many hashes as it is asked for, of any tile and level', async () => {
  for (const [path, level, from, to] of [
    ['0/005.p/20', 0, 1280, 1300],
    ['0/005.p/1', 0, 1280, 1281],
    ['0/000.p/1', 0, 0, 1],
    ['0/001.p/255', 0, 256, 511],
    ['1/000.p/5', 1, 0, 5],
    ['1/000.p/1', 1, 0, 1],
  ] as const) {
    const { bytes } = await fetchTile(path)
    expect(bytes.length).toBe(32 * (to - from))
    expect(bytes.equals(expected(level, from, to)), path).toBe(true)
  }
})

test('a tile may be kept for ever, and one that is not there yet may not', async () => {
  const { headers } = await fetchTile('0/000')
  expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
  expect(headers.get('content-type')).toBe('application/octet-stream')
  expectRefusal(await get('0/005'), 404, 'not_found')
})

test.each([
  ['0/005', 'not full yet'],
  ['0/005.p/21', 'wider than it is'],
  ['0/006.p/1', 'behind the last'],
  ['1/000', 'not full yet'],
  ['1/000.p/6', 'wider than it is'],
  ['2/000.p/1', 'above the tree'],
  ['63/000.p/1', 'far above the tree'],
  ['0/x999/x999/x999/x999/999.p/1', 'far behind'],
])('a tile that the log does not have, %s, is 404: it is %s', async (path) => {
  expectRefusal(await get(path), 404, 'not_found')
})

test.each([
  '0',
  '0/',
  '0/0',
  '0/00',
  '0/0000',
  '00/000',
  '64/000',
  '-1/000',
  '+0/000',
  '0/000/',
  '0/x000/000',
  '0/000/000',
  '0/x1/000',
  '0/x000',
  '0/000.p',
  '0/000.p/',
  '0/000.p/0',
  '0/000.p/00',
  '0/000.p/01',
  '0/000.p/256',
  '0/000.p/257',
  '0/000.p/1/',
  '0/000.P/1',
  '0/000.p/1e1',
  '0/00１',
  'entries/000',
  '%00/000',
  '0/x000/x000/x000/x000/x000/000',
  'a'.repeat(2_000),
])('a path is spelled in one way: %s is 404', async (path) => {
  expectRefusal(await get(path), 404, 'not_found')
})

test('a path that leaves the tiles leads nowhere', async () => {
  const answer = await sendRaw(service, 'GET', '/v1/audit/tile/../events')
  expectRefusal(answer, 404, 'not_found')
})

test('a tile grows with what is published, not with what is appended', async () => {
  await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
  await service.log.writer.append()
  expectRefusal(await get('0/005.p/21'), 404, 'not_found')
  await service.log.writer.publish()
  await readTree()
  expect((await fetchTile('0/005.p/21')).bytes.equals(expected(0, 1280, 1301))).toBe(true)
})
