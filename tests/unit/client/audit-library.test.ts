import { afterEach, describe, expect, it } from 'vitest'
import { openAuditor, type QflareAuditor } from '../../../client/auditor.ts'
import { verifyTiles } from '../../../client/verify-tiles.ts'
import { fromBase64Padded } from '../../../protocol/encoding.ts'
import { createExportVerifier } from '../../../protocol/log/audit-export.ts'
import { verifyCheckpoint } from '../../../protocol/log/checkpoint.ts'
import { verifyConsistency } from '../../../protocol/log/merkle.ts'
import { formatVerifierKey } from '../../../protocol/log/verifier-key.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { makeSigner } from '../../support/memory-log.ts'
import { toHex } from '../../support/protocol-providers.ts'
import { newSigner, signBundle, toTrustKey } from './fake-authority.ts'
import {
  auditorToken,
  eventId,
  type FakeLog,
  LOG_ORIGIN,
  refuse,
  sendJson,
  startFakeLog,
  toAuditKey,
} from './fake-log.ts'
import { codeOf } from './setup.ts'

const crypto = await choosePrimitives()
const logs: FakeLog[] = []
afterEach(async () => {
  for (const log of logs.splice(0)) await log.close()
})

async function startLog(...[count, kinds]: [number, Parameters<typeof startFakeLog>[2]?]) {
  const fake = await startFakeLog(crypto, count, kinds)
  logs.push(fake)
  const auditor = openAuditor({ url: fake.url, apiToken: auditorToken, crypto, wait: async () => undefined })
  return { fake, auditor, keys: { log: fake.signers.map(({ by }) => by) } }
}

describe('an auditor', () => {
  it('reads an export line by line, which verifies', async () => {
    const { auditor, keys } = await startLog(700)
    const verifier = createExportVerifier(crypto, keys)
    for await (const line of auditor.exportLines({ from: 3, to: 600 })) verifier.push(line)
    expect(verifier.finish()).toMatchObject({ from: 3, to: 600, events: 398, hashesOnly: 199, problem: undefined })
  })

  it('reads checkpoint, consistency and tiles without sending its token', async () => {
    const { fake, auditor, keys } = await startLog(300)
    const checkpoint = verifyCheckpoint(crypto, await auditor.getCheckpoint(), keys)
    const { from, to, hashes } = await auditor.getConsistency({ from: 7 })
    verifyConsistency(crypto, { size: from, root: fake.log.root(7) }, checkpoint, hashes)
    expect(to).toBe(300)
    const tile = await auditor.getTile({ level: 0, tile: 1 }, 44)
    expect(tile.map(toHex)).toEqual(fake.log.leaves.slice(256).map(toHex))
    expect(fake.requests).toEqual(['/v1/audit/checkpoint', '/v1/audit/consistency?from=7', '/v1/audit/tile/0/001.p/44'])
  })

  it('lists, pages and shows events with its token, and keeps members that are not known here', async () => {
    const { fake, auditor } = await startLog(20)
    const indexes = []
    for await (const { index } of auditor.events({ order: 'oldest' })) indexes.push(index)
    expect(indexes).toEqual([0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19])
    const page = await auditor.listEvents({ limit: 2, device: 'd', from: 5 })
    expect(page).toMatchObject({ items: [{ index: 19 }, { index: 18 }], nextCursor: '18' })
    expect(fake.requests.at(-1)).toBe(`${auditorToken} /v1/audit/events?limit=2&device=d&from=5`)
    const { event } = await auditor.getEvent(eventId(4))
    expect(JSON.stringify(event)).toContain('"salt":')
    expect(await codeOf(auditor.getEvent(eventId(5)))).toBe('not_found')
  })

  it.each([
    ['a checkpoint of another type', { type: 'text/html', body: '<p>' }, (auditor) => auditor.getCheckpoint()],
    [
      'a checkpoint that is not UTF-8',
      { type: 'text/plain', body: Buffer.from([0xff]) },
      (auditor) => auditor.getCheckpoint(),
    ],
    [
      'a tile that is too short',
      { type: 'application/octet-stream', body: Buffer.alloc(31) },
      (auditor) => auditor.getTile({ level: 0, tile: 0 }, 1),
    ],
    [
      'a hash that is none',
      sendJson({ from: 0, to: 1, hashes: ['AA'] }),
      (auditor) => auditor.getConsistency({ from: 0 }),
    ],
    ['an event without an id', sendJson({ index: 0, event: {} }), (auditor) => auditor.getEvent('x')],
  ] satisfies [string, ReturnType<typeof sendJson>, (auditor: QflareAuditor) => Promise<unknown>][])(
    'refuses %s',
    async (_what, answer, ask) => {
      const { fake, auditor } = await startLog(3)
      fake.tamper = () => answer
      expect(await codeOf(ask(auditor))).toBe('bad_answer')
    },
  )

  it('ends an export with the signal, and hears why the server refuses one', async () => {
    const { fake, auditor } = await startLog(3)
    const reason = new Error('enough')
    const ended = auditor.withSignal(AbortSignal.abort(reason))
    await expect(ended.exportLines().next()).rejects.toBe(reason)
    fake.tamper = () => refuse(403, 'forbidden')
    expect(await codeOf(auditor.exportLines().next())).toBe('forbidden')
  })
})

describe('the keys of the log', () => {
  it('are those of the trust bundle, two in profile cnsa-2.0, and verify its checkpoint', async () => {
    const { fake, auditor } = await startLog(3, ['cosignature', 'mlDsa87'])
    const { keys, current, origin, rootKid } = await auditor.fetchAuditKeys()
    expect(keys.map(formatVerifierKey)).toEqual(fake.signers.map(({ vkey }) => vkey))
    expect(current).toEqual(keys)
    expect({ origin, rootKid }).toEqual({ origin: LOG_ORIGIN, rootKid: fake.pin })
    expect(verifyCheckpoint(crypto, await auditor.getCheckpoint(), { log: keys }).signatures).toHaveLength(2)
  })

  it('are refused under another pin', async () => {
    const { fake, auditor } = await startLog(3)
    expect((await auditor.fetchAuditKeys({ pin: fake.pin })).keys).toHaveLength(1)
    expect(await codeOf(auditor.fetchAuditKeys({ pin: newSigner(crypto).kid }))).toBe('trust_invalid')
  })

  it('of a later bundle join those before it, and a later pin vouches for later ones only', async () => {
    const { fake, auditor } = await startLog(3)
    const [older, newer] = [newSigner(crypto), newSigner(crypto)]
    const { by } = makeSigner(crypto, 'cosignature', LOG_ORIGIN, 'second')
    const first = fake.bundles[0]?.keys.filter(({ use }) => use === 'audit') ?? []
    fake.bundles = [
      signBundle(1, [toTrustKey(older, 'root'), ...first], older),
      signBundle(2, [toTrustKey(newer, 'root'), toAuditKey(crypto, by.key)], older),
    ]
    const all = await auditor.fetchAuditKeys({ pin: older.kid })
    expect(all.keys.map(formatVerifierKey)).toEqual([fake.signers[0]?.vkey, formatVerifierKey(by)])
    expect(all.current.map(formatVerifierKey)).toEqual([formatVerifierKey(by)])
    // What the newer root signed itself, as the protocol has it.
    const both = signBundle(2, fake.bundles[1]?.keys ?? [], newer)
    fake.bundles[1] = { ...both, signatures: [...(fake.bundles[1]?.signatures ?? []), ...both.signatures] }
    expect((await auditor.fetchAuditKeys({ pin: newer.kid })).keys.map(formatVerifierKey)).toEqual([
      formatVerifierKey(by),
    ])
  })

  it('of a bundle that does not follow are refused, with and without a pin', async () => {
    const { fake, auditor } = await startLog(3)
    const stranger = newSigner(crypto)
    fake.bundles.push(signBundle(2, [toTrustKey(stranger, 'root')], stranger))
    expect(await codeOf(auditor.fetchAuditKeys())).toBe('trust_invalid')
    expect(await codeOf(auditor.fetchAuditKeys({ pin: fake.pin }))).toBe('trust_invalid')
  })
})

describe('the tiles of a log', () => {
  const verify = async (
    count: number,
    change: (path: string, bytes: Uint8Array) => Uint8Array = (_path, bytes) => bytes,
  ) => {
    const { fake, auditor } = await startLog(count)
    const asked: string[] = []
    fake.tamper = (path) => {
      const tile = path.split('/tile/')[1]
      if (tile === undefined) return undefined
      asked.push(tile)
      return { type: 'application/octet-stream', body: change(tile, fake.log.tile(tile)) }
    }
    const head = { size: count, root: fake.log.root(count) }
    const problem = await verifyTiles(crypto, head, (place, width) => auditor.getTile(place, width))
    return { problem, asked }
  }

  it.each([0, 1, 255, 256, 257, 512, 700])(
    'of %i entries are read once each, and are what the root says',
    async (count) => {
      const { problem, asked } = await verify(count)
      expect(problem).toBeUndefined()
      expect(new Set(asked).size).toBe(asked.length)
      expect(asked).toHaveLength(Math.ceil(count / 256) + (count >= 256 ? 1 : 0))
    },
  )

  it('name the first entry of the one that is not', async () => {
    const turned = (_path: string, bytes: Uint8Array) => bytes.map((byte, at) => (at === 33 ? byte ^ 1 : byte))
    const of = (tile: string) => verify(700, (path, bytes) => (path === tile ? turned(path, bytes) : bytes))
    expect((await of('0/000')).problem).toMatchObject({ index: 0, reason: expect.stringContaining('0 to 255') })
    expect((await of('0/001')).problem).toMatchObject({ index: 256 })
    for (const last of ['0/002.p/188', '1/000.p/2']) {
      expect((await of(last)).problem).toMatchObject({ index: undefined, reason: expect.stringContaining('700') })
    }
  })

  it('of another log are not those of this root', async () => {
    const { auditor } = await startLog(300)
    const root = fromBase64Padded('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
    const fetchTile: Parameters<typeof verifyTiles>[2] = (place, width) => auditor.getTile(place, width)
    expect(await verifyTiles(crypto, { size: 300, root }, fetchTile)).toMatchObject({ index: undefined })
  })
})
