import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { ratchet, tokenProof } from '../../protocol/exchange/epochs.ts'
import { call, confirm, enrollTestDevice, establish, openExchange, refusal, type TestDevice } from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice
let session: Awaited<ReturnType<typeof establish>>

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
beforeEach(async () => {
  // The middle of a bucket, so that no test crosses an edge by chance.
  service.time.now = (bucketAt(service.time.now) + 1) * BUCKET_MS + BUCKET_MS / 2
  await service.tick()
  device = await enrollTestDevice(service)
  session = await establish(service, device)
})

const look = (token: string) => call(service, 'GET', `/v1/devices/${device.deviceId}`, { token })

function renewal(epoch: number, chain: Uint8Array, nonce = crypto.randomBytes(32)) {
  const proof = tokenProof(crypto, chain, { sessionId: session.sessionId, epoch, nonce })
  return { deviceId: device.deviceId, epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
}
const renew = (body: unknown, sessionId = session.sessionId) =>
  call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })

test('an access token works for five minutes and not a millisecond longer', async () => {
  expect((await look(session.accessToken)).status).toBe(200)
  service.time.now += 300_000 - 1
  await service.tick()
  expect((await look(session.accessToken)).status).toBe(200)
  service.time.now += 1
  expect(refusal(await look(session.accessToken))).toEqual({ status: 401, code: 'unauthenticated' })
})

test('any changed character of a token makes it worthless', async () => {
  const token = session.accessToken
  for (let at = 3; at < token.length; at += 7) {
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    expect(refusal(await look(changed)), `at ${at}`).toEqual({ status: 401, code: 'unauthenticated' })
  }
})

test('the token of a revoked device or session is refused at once', async () => {
  const gone = await call(service, 'DELETE', `/v1/sessions/${session.sessionId}`, { token: session.accessToken })
  expect(gone.status).toBe(204)
  expect(refusal(await look(session.accessToken))).toEqual({ status: 401, code: 'unauthenticated' })
  const fresh = await establish(service, device)
  await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, { token: service.adminToken, body: {} })
  expect(refusal(await look(fresh.accessToken))).toEqual({ status: 401, code: 'unauthenticated' })
})

test('a proof under the epoch’s key renews the token, and its nonce works once', async () => {
  const body = renewal(session.epoch, session.chain)
  const renewed = await renew(body)
  expect(renewed.status).toBe(201)
  expect(renewed.body).toEqual({
    accessToken: expect.stringMatching(/^qs_/),
    accessTokenExpiresAt: service.time.now + 300_000,
  })
  expect((await look(renewed.body.accessToken)).status).toBe(200)
  expect(refusal(await renew(body))).toEqual({ status: 409, code: 'replayed' })
})

test('of 20 renewals with one nonce at once one succeeds', async () => {
  const body = renewal(session.epoch, session.chain)
  const answers = await Promise.all(Array.from({ length: 20 }, () => renew(body)))
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
  expect(answers.filter(({ status }) => status !== 201).every(({ body: { code } }) => code === 'replayed')).toBe(true)
})

test('a wrong proof, another epoch’s proof and another nonce’s proof are unauthenticated', async () => {
  const right = renewal(session.epoch, session.chain)
  const next = ratchet(crypto, session.chain, session.epoch)
  for (const body of [
    { ...right, proof: toBase64url(new Uint8Array(64)) },
    renewal(session.epoch, next),
    { ...right, nonce: toBase64url(crypto.randomBytes(32)) },
  ]) {
    expect(refusal(await renew(body))).toEqual({ status: 401, code: 'unauthenticated' })
  }
})

test('a session renews with its ratcheted key through every epoch until it expires', async () => {
  let { chain, epoch } = session
  while ((epoch + 1) * BUCKET_MS < session.expiresAt) {
    chain = ratchet(crypto, chain, epoch++)
    service.time.now = epoch * BUCKET_MS + BUCKET_MS / 4
    await service.tick()
    expect((await renew(renewal(epoch, chain))).status, `epoch ${epoch}`).toBe(201)
  }
  service.time.now = session.expiresAt
  await service.tick()
  epoch = bucketAt(session.expiresAt)
  expect(refusal(await renew(renewal(epoch, chain)))).toMatchObject({ status: expect.any(Number) })
  expect((await renew(renewal(epoch, chain))).status).toBeGreaterThanOrEqual(400)
})

test('the key of an epoch is gone when its grace is over', async () => {
  const body = renewal(session.epoch, session.chain)
  service.time.now = (session.epoch + 1) * BUCKET_MS + GRACE_MS - 1
  await service.tick()
  expect((await renew(body)).status).toBe(201)
  service.time.now += 1
  await service.tick()
  const late = await renew(renewal(session.epoch, session.chain))
  expect(late).toMatchObject({ status: 409, body: { code: 'bucket_out_of_window', now: service.time.now } })
})

test('an epoch beyond the window is refused', async () => {
  const answer = await renew(renewal(session.epoch + 1, ratchet(crypto, session.chain, session.epoch)))
  expect(refusal(answer)).toEqual({ status: 409, code: 'bucket_out_of_window' })
})

test('a session takes 32 renewals an epoch', async () => {
  for (let i = 0; i < 32; i++) expect((await renew(renewal(session.epoch, session.chain))).status).toBe(201)
  const answer = await renew(renewal(session.epoch, session.chain))
  expect(refusal(answer)).toEqual({ status: 429, code: 'rate_limited' })
  expect(answer.headers.get('retry-after')).toBe('150')
})

test('a pending session renews nothing', async () => {
  const opened = await openExchange(service, device)
  const nonce = crypto.randomBytes(32)
  const proof = tokenProof(crypto, opened.chain, { sessionId: opened.sessionId, epoch: opened.epoch, nonce })
  const body = { deviceId: device.deviceId, epoch: opened.epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
  expect(refusal(await renew(body, opened.sessionId))).toEqual({ status: 409, code: 'session_state' })
  expect((await confirm(service, device, opened)).status).toBe(200)
  expect((await renew(body, opened.sessionId)).status).toBe(201)
})

test('another device’s id finds no session', async () => {
  const other = await enrollTestDevice(service)
  const body = { ...renewal(session.epoch, session.chain), deviceId: other.deviceId }
  expect(refusal(await renew(body))).toEqual({ status: 404, code: 'not_found' })
})

test('a session that a writer of the database gives to another device renews nothing in its name', async () => {
  const other = await enrollTestDevice(service)
  const owner = 'update session set principal_id = $2 where id = $1'
  await service.database.sql.query(owner, [session.sessionId, other.deviceId])
  const body = { ...renewal(session.epoch, session.chain), deviceId: other.deviceId }
  expect(refusal(await renew(body))).toEqual({ status: 409, code: 'session_state' })
  await service.database.sql.query(owner, [session.sessionId, device.deviceId])
  expect((await renew(renewal(session.epoch, session.chain))).status).toBe(201)
})
