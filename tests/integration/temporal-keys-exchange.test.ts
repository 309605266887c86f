import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { communicationKey, keyPurposes, ratchet, tokenProof } from '../../protocol/exchange/epochs.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { type BucketCertificate, exchangeAnswer } from '../../protocol/exchange/messages.ts'
import type { TemporalKeyName } from '../../runtime/temporal/temporal-key-store.ts'
import {
  call,
  confirm,
  enrollTestDevice,
  establish,
  fetchCertificates,
  initiate,
  refusal,
  sendExchange,
  type TestDevice,
} from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice
/** Names of records that the store answers with other bytes, or with nothing. */
const swapped = new Map<string, Uint8Array | undefined>()
const records = new Map<string, Uint8Array>()
const nameOf = ({ kind, number, generation }: TemporalKeyName) => `${kind}-${number}-${generation}`

beforeAll(async () => {
  service = await startTestService({
    wrapStore: (store) => ({
      ...store,
      async makeOnce(name, record) {
        const stored = await store.makeOnce(name, record)
        records.set(nameOf(name), stored)
        return stored
      },
      find: async (name) => (swapped.has(nameOf(name)) ? swapped.get(nameOf(name)) : store.find(name)),
    }),
  })
})
afterAll(() => service.close())
beforeEach(async () => {
  // A day further, so that no test meets a key that another one used: nothing of it is in the API's memory.
  service.time.now = bucketAt(service.time.now) * BUCKET_MS + BUCKET_MS / 2 + 288 * BUCKET_MS
  await service.tick()
  device = await enrollTestDevice(service)
})

/** As the database has it: what the API would serve has not been asked for yet. */
async function findCertificate(bucket: number, generation: number): Promise<BucketCertificate> {
  const { rows } = await service.database.sql.query<{ kid: string; public_key: Buffer; signature: Buffer }>(
    'select kid, public_key, signature from bucket_certificate where bucket = $1 and generation = $2',
    [bucket, generation],
  )
  const [row] = rows
  if (row === undefined) throw new Error(`bucket ${bucket} has no certificate of generation ${generation}`)
  const notBefore = bucket * BUCKET_MS
  const [publicKey, signature] = [Uint8Array.from(row.public_key), Uint8Array.from(row.signature)]
  return {
    suite: 'ML-KEM-1024',
    bucket,
    notBefore,
    notAfter: notBefore + BUCKET_MS,
    publicKey,
    kid: row.kid,
    signature,
  }
}

const outcome = async (certificate: BucketCertificate) => {
  const answer = await sendExchange(service, (await initiate(service, device, certificate)).wire)
  return answer.status === 201 ? 201 : refusal(answer)
}

describe.each<[string, () => Uint8Array | undefined]>([
  ['was lost', () => undefined],
  ['was swapped for other bytes', () => crypto.randomBytes(99)],
  ['was swapped for that of the next bucket', () => records.get(`bucket-${bucketAt(service.time.now) + 1}-0`)],
])('a bucket key whose record %s', (_, makeSwap) => {
  test('serves no exchange until it is made anew; then its new certificate works and the old one does not', async () => {
    const bucket = bucketAt(service.time.now)
    swapped.set(`bucket-${bucket}-0`, makeSwap())
    const old = await findCertificate(bucket, 0)
    expect(await outcome(old)).toEqual({ status: 503, code: 'unavailable' })
    expect(refusal(await call(service, 'GET', '/v1/buckets'))).toEqual({ status: 503, code: 'unavailable' })
    await service.tick()
    const [current] = await fetchCertificates(service)
    expect(current).toEqual(await findCertificate(bucket, 1))
    expect(await outcome(old)).toEqual({ status: 401, code: 'exchange_refused' })
    expect(await outcome(current as BucketCertificate)).toBe(201)
  })
})

test('a certificate that was swapped in the database, though genuine, is not served: the key is another', async () => {
  const bucket = bucketAt(service.time.now)
  const { publicKey, signature } = await findCertificate(bucket + 1, 0)
  await service.database.sql.query('update bucket_certificate set public_key = $1, signature = $2 where bucket = $3', [
    publicKey,
    signature,
    bucket,
  ])
  expect(refusal(await call(service, 'GET', '/v1/buckets'))).toEqual({ status: 503, code: 'unavailable' })
  expect(await outcome(await findCertificate(bucket, 0))).toEqual({ status: 503, code: 'unavailable' })
})

test('an epoch key that was lost stops exchanges until it is made anew', async () => {
  const bucket = bucketAt(service.time.now)
  swapped.set(`epoch-${bucket + 3}-0`, undefined)
  const certificate = await findCertificate(bucket, 0)
  expect(await outcome(certificate)).toEqual({ status: 503, code: 'unavailable' })
  await service.tick()
  expect(await outcome(certificate)).toBe(201)
})

test('with the end of its grace an epoch renews nothing more, and the session’s later epochs still do', async () => {
  const session = await establish(service, device)
  const chains = [session.chain]
  for (let i = 0; i < 2; i++) chains.push(ratchet(crypto, chains[i] as Uint8Array, session.epoch + i))
  const renew = (epoch: number) => {
    const nonce = crypto.randomBytes(32)
    const { sessionId } = session
    const proof = tokenProof(crypto, chains[epoch - session.epoch] as Uint8Array, { sessionId, epoch, nonce })
    const body = { deviceId: device.deviceId, epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
    return call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })
  }
  const end = (session.epoch + 1) * BUCKET_MS + GRACE_MS
  service.time.now = end - 1
  await service.tick()
  expect((await renew(session.epoch)).status).toBe(201)
  service.time.now = end
  await service.tick()
  expect(await service.store.find({ kind: 'epoch', number: session.epoch, generation: 0 })).toBeUndefined()
  const late = await renew(session.epoch)
  expect([refusal(late), late.body.now]).toEqual([{ status: 409, code: 'bucket_out_of_window' }, end])
  expect((await renew(session.epoch + 1)).status).toBe(201)
  service.time.now = end + BUCKET_MS
  await service.tick()
  expect((await renew(session.epoch + 2)).status).toBe(201)
})

test('neither the database nor the store holds a key: of an exchange, of a session, or of the service', async () => {
  const secrets = new Map<string, Uint8Array>()
  const keep = (name: string, bytes: Uint8Array) => secrets.set(`${name} ${secrets.size}`, Uint8Array.from(bytes))
  recordSecrets(keep)

  await service.tick()
  service.time.now += BUCKET_MS
  await service.tick()
  const initiated = await initiate(service, device)
  keep('shared secret S', initiated.sharedSecretS)
  const answer = await sendExchange(service, initiated.wire)
  const wire = exchangeAnswer.parse(answer.body)
  keep('shared secret D', initiated.ephemeralKey.decapsulate(wire.ciphertext))
  const session = acceptAnswer(crypto, initiated, wire)
  keep('confirmation', session.deviceConfirmation)
  let chain = session.chain
  for (let epoch = session.epoch; epoch < session.epoch + 12; epoch++) {
    keep('chain', chain)
    for (const purpose of keyPurposes) {
      keep(purpose, communicationKey(crypto, chain, { sessionId: session.sessionId, epoch, purpose }))
    }
    chain = ratchet(crypto, chain, epoch)
  }
  const confirmed = await confirm(service, device, session)
  expect(confirmed.status).toBe(200)
  keep('access token', Buffer.from(confirmed.body.accessToken, 'utf8'))
  keep('admin token', Buffer.from(service.adminToken, 'utf8'))
  keep('identity seed', device.identitySeed)

  const names = [...secrets.keys()].map((name) => name.replace(/ \d+$/, ''))
  for (const name of ['sealed', 'sealing key', 'KEM seed', 'MAC key', 'shared secret S', 'chain']) {
    expect(names).toContain(name)
  }
  const everything = await dump()
  expect(everything).toContain(session.sessionId)
  expect(everything).toContain(Buffer.from(records.values().next().value as Uint8Array).toString('hex'))
  const found = [...secrets].flatMap(([name, bytes]) =>
    spellings(bytes).some((spelling) => everything.includes(spelling)) ? [name] : [],
  )
  expect(found).toEqual([])
})

/** Everything that goes into the primitives of the service and must not come out of it again. */
function recordSecrets(keep: (name: string, bytes: Uint8Array) => void): void {
  const { sealAesGcm, importDecapsulationKey, hmac256, hmac512 } = crypto
  const spies = [
    vi.spyOn(crypto, 'sealAesGcm').mockImplementation((key, nonce, plaintext, additionalData) => {
      keep('sealing key', key)
      keep('sealed', plaintext)
      return sealAesGcm(key, nonce, plaintext, additionalData)
    }),
    vi.spyOn(crypto, 'importDecapsulationKey').mockImplementation((suite, seed) => {
      keep('KEM seed', seed)
      return importDecapsulationKey(suite, seed)
    }),
    vi.spyOn(crypto, 'hmac256').mockImplementation((key, data) => {
      keep('MAC key', key)
      return hmac256(key, data)
    }),
    vi.spyOn(crypto, 'hmac512').mockImplementation((key, data) => {
      keep('derivation key', key)
      return hmac512(key, data)
    }),
  ]
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore()
  })
}

/** Every row of every table as text, where bytes are hexadecimal, and every record that the store ever held. */
async function dump(): Promise<string> {
  const { sql } = service.database
  const { rows: tables } = await sql.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  )
  expect(tables.length).toBeGreaterThan(15)
  const lines: string[] = []
  for (const { name } of tables) {
    const { rows } = await sql.query<{ line: string }>(`select t::text as line from ${name} t`)
    lines.push(...rows.map(({ line }) => line))
  }
  for (const record of records.values()) {
    const bytes = Buffer.from(record)
    lines.push(bytes.toString('hex'), bytes.toString('latin1'))
  }
  return lines.join('\n')
}

/** Hexadecimal, raw, and base64 in both alphabets at every offset in a longer text. */
function spellings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes)
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), buffer])
      .toString('base64')
      .replace(/=+$/, '')
      .slice(shift === 0 ? 0 : 2, -2),
  )
  const urlSafe = shifted.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
  return [buffer.toString('hex'), buffer.toString('latin1'), ...shifted, ...urlSafe]
}
