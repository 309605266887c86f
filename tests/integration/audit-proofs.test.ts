import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import {
  cosignatureLine,
  cosignedMessage,
  parseCheckpointBody,
  verifyCheckpoint,
} from '../../protocol/log/checkpoint.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import { parseTlogProof, verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { verifierKey } from '../../protocol/log/verifier-key.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call } from '../support/api.ts'
import {
  addEvents,
  deviceEvent,
  firstOrganization,
  logEvents,
  readEntries,
  type StoredEntry,
} from '../support/audit.ts'
import { type PlainTree, plainTreeOf } from '../support/plain-merkle.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** Checkpoints and proofs of a log of five full tiles and a partial one, held against a tree that shares no code with the service. */

const utf8 = new TextEncoder()
let service: TestService
let other: Tenant
let organizationId: string
let all: StoredEntry[]
let tree: PlainTree

beforeAll(async () => {
  service = await startTestService()
  other = await makeTenant(service, 'other')
  organizationId = await firstOrganization(service)
  const organizations = [organizationId, other.organizationId, NIL_UUID]
  const events = Array.from({ length: 1_400 }, (_, i) => ({
    draft: deviceEvent(organizations[i % 3] as string),
    at: service.time.now,
  }))
  await addEvents(service, events)
  await service.log.sequence()
  await readLog()
}, 120_000)
afterAll(() => service.close())

async function readLog(): Promise<void> {
  all = await readEntries(service)
  tree = plainTreeOf(all.map(({ entry }) => utf8.encode(entry)))
}

const get = (path: string, token?: string): Promise<Answer> => call(service, 'GET', `/v1/audit/${path}`, { token })
const toHex = (hashes: readonly Uint8Array[]) => hashes.map((hash) => Buffer.from(hash).toString('hex'))
const root = (size: number) => new Uint8Array(tree.root(0n, BigInt(size)))
const entryOf = (organization: string, nth = 0) =>
  all.filter((entry) => entry.organizationId === organization).at(nth) as StoredEntry

/** A witness that signs whatever checkpoint the log has published; its line is stored as the collector stores it. */
function makeWitness(name: string) {
  const signingKey = crypto.importSigningKey('ML-DSA-44', crypto.randomBytes(32))
  const key = verifierKey(crypto, name, 'cosignature', signingKey.publicKey)
  return {
    key,
    async cosign(): Promise<void> {
      const checkpoint = parseCheckpointBody(parseNote((await get('checkpoint')).body).body)
      const seconds = Math.floor(service.time.now / 1000)
      const signature = signingKey.sign(cosignedMessage(name, seconds, checkpoint), signatureContexts.empty)
      await service.database.sql.query(
        `insert into audit_cosignature (checkpoint_id, witness, line, received_at)
          select published_id, $1, $2, now() from audit_log_state`,
        [name, cosignatureLine(key, seconds, signature)],
      )
    },
  }
}

describe('the checkpoint', () => {
  test('is signed over the tree of all entries, for anyone, and is not kept by anybody on the way', async () => {
    const { status, body, headers } = await get('checkpoint')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(verifyCheckpoint(crypto, body, { log: service.log.keys })).toMatchObject({
      origin: 'test.example/audit',
      size: all.length,
      root: root(all.length),
      signedAt: Math.floor(service.time.now / 1000) * 1000,
      cosignatures: [],
    })
  })

  test('covers what is appended only once it is published', async () => {
    await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    await service.log.writer.append()
    const size = async () => parseCheckpointBody(parseNote((await get('checkpoint')).body).body).size
    expect(await size()).toBe(all.length)
    await service.log.writer.publish()
    expect(await size()).toBe(all.length + 1)
    await readLog()
  })

  test('with the lines of witnesses is missing until one has signed, and then has theirs', async () => {
    expectRefusal(await get('checkpoint?witnessed=true'), 503, 'unavailable')
    const [one, two] = [makeWitness('one.example'), makeWitness('two.example')]
    for (const witness of [one, two]) await witness.cosign()
    const witnessed = (await get('checkpoint?witnessed=true')).body
    const keys = { log: service.log.keys, witnesses: [one.key, two.key] }
    expect(verifyCheckpoint(crypto, witnessed, keys).cosignatures.map(({ by }) => by.name)).toEqual([
      'one.example',
      'two.example',
    ])
    await logEvents(service, organizationId, 1)
    expect((await get('checkpoint?witnessed=true')).body).toBe(witnessed)
    expect(verifyCheckpoint(crypto, (await get('checkpoint')).body, keys).cosignatures).toEqual([])
    // one alone has signed the newer one: the older one, which both have, is worth more
    await one.cosign()
    expect((await get('checkpoint?witnessed=true')).body).toBe(witnessed)
    await two.cosign()
    expect((await get('checkpoint?witnessed=true')).body).not.toBe(witnessed)
    await readLog()
  })

  test.each(['witnessed=false', 'witnessed=', 'more=1'])('is not asked for with %s', async (query) => {
    expectRefusal(await get(`checkpoint?${query}`), 400, 'malformed', query.split('=')[0])
  })

  test('of a log that has none yet is 503, as is everything that rests on it', async () => {
    const { sql } = service.database
    const { rows } = await sql.query('select published_id, published_size from audit_log_state')
    await sql.query('update audit_log_state set published_id = null, published_size = 0')
    try {
      for (const path of ['checkpoint', 'consistency?from=0', 'tile/0/000', 'export']) {
        expectRefusal(await get(path, service.adminToken), 503, 'unavailable')
      }
      expect((await get('events', service.adminToken)).body).toEqual({ items: [], nextCursor: null })
    } finally {
      await sql.query('update audit_log_state set published_id = $1, published_size = $2', Object.values(rows[0]))
    }
  })
})

test('in profile cnsa-2.0 a checkpoint has two lines, and holds with both only', async () => {
  const strict = await startTestService({ profile: 'cnsa-2.0' })
  try {
    const { body } = await call(strict, 'GET', '/v1/audit/checkpoint')
    const { keys } = strict.log
    expect(keys.map(({ key }) => key.alg)).toEqual(['ML-DSA-44', 'ML-DSA-87'])
    expect(verifyCheckpoint(crypto, body, { log: keys }).signatures).toHaveLength(2)
    const lines = (body as string).split('\n')
    for (const at of [-2, -3]) {
      const less = lines.toSpliced(at, 1).join('\n')
      expect(() => verifyCheckpoint(crypto, less, { log: keys })).toThrow(/No ML-DSA-(44|87) key/)
    }
  } finally {
    await strict.close()
  }
})

describe('the proof of an event', () => {
  const prove = (id: string, by: TestService = service) => get(`events/${id}/proof`, by.adminToken)

  test('is the path of RFC 6962 to the published root, for every place in the tree that is tried', async () => {
    const { size } = parseCheckpointBody(parseNote((await get('checkpoint')).body).body)
    const own = all.filter((entry) => entry.organizationId !== other.organizationId)
    for (const { index, entry, event } of own.filter((_, at) => at % 23 === 0 || own.length - at < 9)) {
      const { status, body, headers } = await prove(event.id)
      expect(status).toBe(200)
      expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(verifyTlogProof(crypto, body, utf8.encode(entry), { log: service.log.keys })).toMatchObject({
        index,
        checkpoint: { size },
      })
      const proof = parseTlogProof(body)
      expect(toHex(proof.hashes)).toEqual(toHex(tree.path(BigInt(index), BigInt(size))))
    }
  })

  test('does not prove anything else: another event, or the same with one character changed', async () => {
    const [first, second] = [entryOf(organizationId, 5), entryOf(organizationId, 6)]
    const { body } = await prove(first.event.id)
    const keys = { log: service.log.keys }
    expect(() => verifyTlogProof(crypto, body, utf8.encode(second.entry), keys)).toThrow(/is not what the tree/)
    const changed = first.entry.replace('"notice"', '"notics"')
    expect(changed).not.toBe(first.entry)
    expect(() => verifyTlogProof(crypto, body, utf8.encode(changed), keys)).toThrow(/is not what the tree/)
  })

  test('is for its organization: of another’s event, of none and of no id it is 404 alike', async () => {
    const { event } = entryOf(other.organizationId)
    const answers = [await prove(event.id), await prove(newId()), await prove('nothing')]
    for (const answer of answers) expectRefusal(answer, 404, 'not_found')
    expect({ ...answers[0]?.body, requestId: '' }).toEqual({ ...answers[1]?.body, requestId: '' })
    expect((await prove(event.id, other)).status).toBe(200)
    expect((await prove(entryOf(NIL_UUID).event.id, other)).status).toBe(200)
  })

  test('is of a checkpoint that witnesses signed where one covers the event, else of the newest', async () => {
    const witness = makeWitness('third.example')
    await witness.cosign()
    const witnessedSize = all.length
    const [later] = await logEvents(service, organizationId, 300)
    await readLog()
    const keys = { log: service.log.keys, witnesses: [witness.key] }
    const older = entryOf(organizationId)
    const old = verifyTlogProof(crypto, (await prove(older.event.id)).body, utf8.encode(older.entry), keys)
    expect(old.checkpoint).toMatchObject({ size: witnessedSize, cosignatures: [{ by: { name: 'third.example' } }] })
    const newer = all.find(({ event }) => event.id === later?.eventId) as StoredEntry
    const young = verifyTlogProof(crypto, (await prove(newer.event.id)).body, utf8.encode(newer.entry), keys)
    expect(young.checkpoint).toMatchObject({ size: all.length, cosignatures: [] })
  })
})

describe('a consistency proof', () => {
  test('is that of RFC 6962, for any two sizes', async () => {
    const last = all.length
    const sizes = [0, 1, 2, 255, 256, 257, 511, 512, 513, 768, 1_000, 1_023, 1_024, 1_025, last - 1, last]
    for (const from of sizes) {
      for (const to of sizes.filter((size) => size >= from && (size + from) % 3 !== 1)) {
        const { status, body } = await get(`consistency?from=${from}&to=${to}`)
        expect({ status, from: body.from, to: body.to }).toEqual({ status: 200, from, to })
        const expected = from === 0 ? [] : tree.proof(BigInt(from), BigInt(to))
        expect(body.hashes).toEqual(expected.map((hash) => hash.toString('base64url')))
      }
    }
  })

  test('goes to the published size where no other is given', async () => {
    const { body } = await get('consistency?from=700')
    expect(body).toMatchObject({ from: 700, to: all.length })
    expect(body.hashes).toEqual((await get(`consistency?from=700&to=${all.length}`)).body.hashes)
  })

  test.each([
    ['from', ''],
    ['from', 'to=5'],
    ['from', 'from=-1'],
    ['from', 'from=x'],
    ['from', 'from=1.5'],
    ['from', 'from=7&to=6'],
    ['from', 'from=999999999999999'],
    ['to', 'from=1&to=999999999999999'],
    ['to', 'from=1&to=-1'],
    ['more', 'from=1&more=1'],
  ])('is refused for its %s: %j', async (field, query) => {
    expectRefusal(await get(`consistency?${query}`), 400, 'malformed', field)
  })

  test('reaches no entry that is not published', async () => {
    await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    await service.log.writer.append()
    expectRefusal(await get(`consistency?from=1&to=${all.length + 1}`), 400, 'malformed', 'to')
    await service.log.writer.publish()
    expect((await get(`consistency?from=1&to=${all.length + 1}`)).status).toBe(200)
    await readLog()
  })
})
