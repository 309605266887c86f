import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Json, toBase64url } from '../../protocol/encoding.ts'
import { acceptAnswer, initiateExchange } from '../../protocol/exchange/initiate.ts'
import { type BucketCertificate, exchangeAnswer } from '../../protocol/exchange/messages.ts'
import { initiateHash } from '../../protocol/exchange/transcript.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import {
  call,
  confirm,
  enrollTestDevice,
  fetchCertificates,
  flipBit,
  initiate,
  makeIdentity,
  openExchange,
  refusal,
  sendExchange,
  stored,
  type TestDevice,
} from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

const refused = { status: 401, code: 'exchange_refused' }
let service: TestService
let device: TestDevice
let certificate: BucketCertificate

beforeAll(async () => {
  service = await startTestService()
  device = await enrollTestDevice(service)
  certificate = (await fetchCertificates(service))[0] as BucketCertificate
})
afterAll(() => service.close())

async function countRows(): Promise<unknown> {
  const { rows } = await service.database.sql.query(
    'select (select count(*) from session) as sessions, (select count(*) from audit_outbox) as events',
  )
  return rows[0]
}

/** The refusal without what differs in every answer, and without the headers that time and ids make. */
async function alike(wire: Json) {
  const { status, body, headers } = await sendExchange(service, wire)
  const { requestId, ...rest } = body
  expect(headers.get('x-request-id')).toBe(requestId)
  return { status, rest, names: [...headers.keys()].sort() }
}

test('an unknown device, another key, a revoked device and a bad signature are one and the same answer', async () => {
  const revoked = await enrollTestDevice(service)
  await call(service, 'POST', `/v1/devices/${revoked.deviceId}/revoke`, { token: service.adminToken, body: {} })
  const unknown = { ...device, deviceId: '01a20218-ebc8-7df6-9039-16445e847b36' }
  const before = await countRows()
  const honest = await initiate(service, device)
  const answers = [
    await alike((await initiate(service, unknown)).wire),
    await alike((await initiate(service, { ...device, ...makeIdentity() })).wire),
    await alike((await initiate(service, { ...device, ...makeIdentity('ML-DSA-87') })).wire),
    await alike((await initiate(service, revoked)).wire),
    await alike({ ...honest.wire, signature: flipBit(honest.wire.signature as string) }),
  ]
  expect(answers[0]).toMatchObject({ status: 401, rest: { code: 'exchange_refused' } })
  for (const answer of answers) expect(answer).toEqual(answers[0])
  expect(await countRows()).toEqual(before)
})

test('any flipped bit of what the device sent is refused and stores nothing', async () => {
  const { wire } = await initiate(service, device)
  const before = await countRows()
  const fields = { nonce: 256, clientKey: 12_544, ciphertext: 12_544, signature: 19_360 }
  for (const [field, bits] of Object.entries(fields)) {
    for (const bit of [0, 7, Math.floor(bits / 2), bits - 1]) {
      const changed = { ...wire, [field]: flipBit(wire[field] as string, bit) }
      expect(refusal(await sendExchange(service, changed)), `${field} bit ${bit}`).toEqual(refused)
    }
  }
  expect(await countRows()).toEqual(before)
})

test('a message of one device does not work under another one’s id', async () => {
  const other = await enrollTestDevice(service)
  const { wire } = await initiate(service, device)
  expect(refusal(await sendExchange(service, { ...wire, deviceId: other.deviceId }))).toEqual(refused)
})

test('a message signed over another bucket’s certificate is refused', async () => {
  const next = (await fetchCertificates(service))[1] as BucketCertificate
  service.time.now = next.notBefore
  await service.tick()
  const { wire } = await initiate(service, device, certificate)
  expect(refusal(await sendExchange(service, { ...wire, bucket: next.bucket }))).toEqual(refused)
  certificate = next
})

/** A message that the device signs although its client key is not as it should be. */
async function signWithClientKey(clientKey: Uint8Array): Promise<Json> {
  const { wire, request } = await initiate(service, device, certificate)
  const th1 = initiateHash(crypto, { ...request, clientKey }, certificate)
  const signature = device.identityKey.sign(th1, signatureContexts.exchange)
  return { ...wire, clientKey: toBase64url(clientKey), signature: toBase64url(signature) }
}

test('a client key that is a bucket key is refused, whether the current one’s or the next one’s', async () => {
  for (const { publicKey } of await fetchCertificates(service)) {
    expect(refusal(await sendExchange(service, await signWithClientKey(publicKey)))).toEqual(refused)
  }
})

test('a client key that fails the modulus check is refused', async () => {
  const clientKey = Uint8Array.from((await initiate(service, device, certificate)).request.clientKey)
  clientKey[0] = 0xff
  clientKey[1] = 0xff
  expect(refusal(await sendExchange(service, await signWithClientKey(clientKey)))).toEqual(refused)
})

test('a wrong ciphertext under a right signature is no error yet, and dies at the confirmation', async () => {
  const initiated = initiateExchange(crypto, device, certificate)
  const ciphertext = crypto.randomBytes(1568)
  const th1 = initiateHash(crypto, { ...initiated.request, ciphertext }, certificate)
  const signature = device.identityKey.sign(th1, signatureContexts.exchange)
  const request = { ...initiated.request, ciphertext, signature }
  const { wire } = await initiate(service, device, certificate)
  const answer = await sendExchange(service, {
    ...wire,
    nonce: toBase64url(request.nonce),
    clientKey: toBase64url(request.clientKey),
    ciphertext: toBase64url(ciphertext),
    signature: toBase64url(signature),
  })
  expect(answer.status).toBe(201)
  expect(() => acceptAnswer(crypto, { ...initiated, request, th1 }, exchangeAnswer.parse(answer.body))).toThrow(
    expect.objectContaining({ code: 'confirmation_invalid' }),
  )
})

test('the server’s own answer reflected at it is refused', async () => {
  const { wire } = await initiate(service, device, certificate)
  const { body } = await sendExchange(service, wire)
  const reflected = { ...wire, nonce: body.nonce, ciphertext: body.ciphertext }
  expect(refusal(await sendExchange(service, reflected))).toEqual(refused)
  const confirmation = { deviceId: device.deviceId, confirmation: body.confirmation }
  const answer = await call(service, 'POST', `/v1/exchanges/${body.sessionId}/confirm`, { body: confirmation })
  expect(refusal(answer)).toEqual({ status: 401, code: 'confirmation_refused' })
})

test('crossed confirmations of two sessions of a device end both', async () => {
  const fresh = await enrollTestDevice(service)
  const [one, two] = [await openExchange(service, fresh), await openExchange(service, fresh)]
  const crossed = await confirm(service, fresh, { ...one, deviceConfirmation: two.deviceConfirmation })
  expect(refusal(crossed)).toEqual({ status: 401, code: 'confirmation_refused' })
  const back = await confirm(service, fresh, { ...two, deviceConfirmation: one.deviceConfirmation })
  expect(refusal(back)).toEqual({ status: 401, code: 'confirmation_refused' })
  expect((await stored(service, fresh.deviceId)).sessions.map(({ state }) => state)).toEqual(['FAILED', 'FAILED'])
})

test('an identity key that was swapped in the database is refused', async () => {
  const victim = await enrollTestDevice(service)
  const attacker = makeIdentity()
  await service.database.sql.query('update identity_key set public_key = $2 where principal_id = $1', [
    victim.deviceId,
    attacker.identityKey.publicKey,
  ])
  expect(refusal(await sendExchange(service, (await initiate(service, { ...victim, ...attacker })).wire))).toEqual(
    refused,
  )
  // The victim's own row, with its MAC, moved under another device: the MAC names the device.
  const other = await enrollTestDevice(service)
  await service.database.sql.query(
    `update identity_key k set public_key = o.public_key, mac = o.mac, kid = k.kid
      from identity_key o where k.principal_id = $1 and o.principal_id = $2`,
    [victim.deviceId, other.deviceId],
  )
  const moved = { ...other, deviceId: victim.deviceId }
  expect(refusal(await sendExchange(service, (await initiate(service, moved)).wire))).toEqual(refused)
})
