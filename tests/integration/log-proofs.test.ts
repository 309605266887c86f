import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as stranger from '../interop/independent-log-verifier.js'
import { call } from '../support/api.ts'
import { fillLog } from '../support/fill-log.ts'
import { flipBit } from '../support/protocol-providers.ts'
import { startTestService, type TestService } from '../support/service.ts'

// The verifier in tests/interop was written from docs/protocol.md §7, RFC 9162 and the C2SP documents, sharing no code with us.
const EVENTS = 100_000
const PAIRS = 1_000
const AT_ONCE = 8

interface Event {
  id: string
}

/** What anybody can fetch, and an auditor, as they come over HTTP. */
function readerOf(service: TestService) {
  const get = async (path: string, token?: string) => {
    const answer = await call(service, 'GET', path, { token })
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  return {
    async vkeys(): Promise<string[]> {
      return stranger.vkeysOfBundle((await get('/v1/trust?after=0')).items.at(-1))
    },
    checkpoint: (): Promise<string> => get('/v1/audit/checkpoint'),
    proofOf: ({ id }: Event): Promise<string> => get(`/v1/audit/events/${id}/proof`, service.adminToken),
    consistency: (from: number, to: number): Promise<{ from: number; to: number; hashes: string[] }> =>
      get(`/v1/audit/consistency?from=${from}&to=${to}`),
    async tile(path: string): Promise<Uint8Array> {
      const response = await fetch(`${service.url}/v1/audit/tile/${path}`)
      if (response.status !== 200) throw new Error(`tile ${path}: ${response.status}`)
      return new Uint8Array(await response.arrayBuffer())
    },
    async exportLines(): Promise<string[]> {
      const text: string = await get('/v1/audit/export', service.adminToken)
      return text.replace(/\n$/, '').split('\n')
    },
  }
}

async function fillOfDefaultOrganization(service: TestService, count: number): Promise<void> {
  const { rows } = await service.database.sql.query<{ id: string }>('select id from organization')
  await fillLog(service, rows[0]?.id ?? '', count)
}

describe(`over a log of more than ${EVENTS} events, with code that shares nothing with ours`, () => {
  let service: TestService
  let log: ReturnType<typeof readerOf>
  let vkeys: string[]
  let exported: Awaited<ReturnType<typeof stranger.verifyExport>>
  let rootOf: (size: number) => Buffer
  let size: number

  beforeAll(async () => {
    service = await startTestService()
    log = readerOf(service)
    await fillOfDefaultOrganization(service, EVENTS)
    vkeys = await log.vkeys()
    exported = await stranger.verifyExport(await log.exportLines(), vkeys)
    rootOf = stranger.rootsOver(exported.leaves)
    size = Number(exported.checkpoint.size)
  }, 300_000)
  afterAll(() => service?.close())

  test('the export of all of it verifies, and is all of it', async () => {
    expect(size).toBeGreaterThan(EVENTS)
    expect([exported.from, exported.to, exported.origin]).toEqual([0, size, 'test.example/audit'])
    expect(exported.events.filter((event) => event === undefined)).toEqual([])
    expect(rootOf(size)).toEqual(exported.checkpoint.root)
    expect(stranger.openCheckpoint(await log.checkpoint(), vkeys).root).toEqual(rootOf(size))
  })

  test(`an event’s proof and a consistency proof verify, for ${PAIRS} random pairs of both, and no other of one bit`, async () => {
    const checkPair = async () => {
      const index = randomInt(size)
      const [from, to] = [randomInt(1, size + 1), randomInt(1, size + 1)].toSorted((a, b) => a - b) as [number, number]
      const event = exported.events[index] as Event
      const [proof, { hashes }] = await Promise.all([log.proofOf(event), log.consistency(from, to)])
      const verified = stranger.verifyProof(proof, event, vkeys)
      expect([verified.index, verified.checkpoint.size]).toEqual([BigInt(index), BigInt(size)])
      const path = hashes.map((hash) => Buffer.from(hash, 'base64url'))
      stranger.verifyConsistency(from, to, path, rootOf(from), rootOf(to))

      const { id } = exported.events[index === 0 ? 1 : 0] as Event
      const other = { ...event, id }
      expect(() => stranger.verifyProof(proof, other, vkeys)).toThrow(`entry ${index} is not what the tree holds`)
      const turned = flipBit(rootOf(from), randomInt(256))
      expect(() => stranger.verifyConsistency(from, to, path, turned, rootOf(to))).toThrow()
    }
    let left = PAIRS
    const work = async () => {
      while (left-- > 0) await checkPair()
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }, 300_000)

  test('its tiles alone give the root that was signed, and the hash of every event', async () => {
    const { root, leaves } = await stranger.rootFromTiles(size, log.tile)
    expect(root).toEqual(exported.checkpoint.root)
    expect(Buffer.concat(leaves).equals(Buffer.concat(exported.leaves))).toBe(true)
  })
})

describe('offline, by the command of somebody else', () => {
  const program = fileURLToPath(new URL('../interop/independent-log-verifier.js', import.meta.url))
  let service: TestService
  let folder: string
  let vkeys: string[]

  beforeAll(async () => {
    service = await startTestService({ profile: 'cnsa-2.0' })
    folder = await mkdtemp(join(tmpdir(), 'qflare-log-'))
    vkeys = await readerOf(service).vkeys()
  })
  afterAll(async () => {
    await service.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function keep(name: string, text: string): Promise<string> {
    const path = join(folder, name)
    await writeFile(path, text)
    return path
  }

  async function run(...args: string[]): Promise<{ said: Record<string, unknown> } | { refused: string }> {
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [program, ...args, ...vkeys], { env: {} })
      return { said: JSON.parse(stdout) as Record<string, unknown> }
    } catch (error) {
      return { refused: String((error as { stderr?: string }).stderr).trim() }
    }
  }

  test('an export, a proof and a consistency of profile cnsa-2.0 verify under both of its keys', async () => {
    const log = readerOf(service)
    expect(vkeys).toHaveLength(2)
    const older = await log.checkpoint()
    await fillOfDefaultOrganization(service, 300)
    const newer = await log.checkpoint()
    const sizeOf = (note: string) => Number(stranger.openCheckpoint(note, vkeys).size)
    const lines = await log.exportLines()
    const event = (JSON.parse(lines.at(-2) ?? '') as { event: Event }).event
    const files = {
      whole: await keep('export', `${lines.join('\n')}\n`),
      proof: await keep('proof', await log.proofOf(event)),
      event: await keep('event.json', JSON.stringify(event, undefined, 2)),
      older: await keep('older', older),
      newer: await keep('newer', newer),
      consistency: await keep('consistency', JSON.stringify(await log.consistency(sizeOf(older), sizeOf(newer)))),
    }
    expect(await run('verify-export', files.whole)).toMatchObject({
      said: { from: 0, to: sizeOf(newer), hashesOnly: 0 },
    })
    expect(await run('verify-proof', files.proof, files.event)).toMatchObject({ said: { event: { id: event.id } } })
    expect(await run('verify-consistency', files.older, files.newer, files.consistency)).toMatchObject({
      said: { older: { size: sizeOf(older) }, newer: { size: sizeOf(newer) } },
    })

    const altered = lines.with(9, (lines[9] ?? '').replace('"v":1', '"v":2'))
    expect(await run('verify-export', await keep('altered', `${altered.join('\n')}\n`))).toEqual({
      refused: 'independent-log-verifier: entry 8 is not the one that was logged',
    })
    const other = await keep('other.json', JSON.stringify({ ...event, at: 0 }))
    expect(await run('verify-proof', files.proof, other)).toEqual({
      refused: `independent-log-verifier: entry ${sizeOf(newer) - 1} is not what the tree holds`,
    })
  })
})
