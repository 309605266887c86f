import { describe, expect, it } from 'vitest'
import { roundContext } from '../../../client/round-context.ts'
import { BUCKET_MS, GRACE_MS } from '../../../protocol/exchange/bucket.ts'
import { communicationKey, type KeyPurpose, ratchet } from '../../../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { refusal } from './fake-answer.ts'
import { codeOf, enrolledDevice, firstBucket, startAt } from './setup.ts'

const crypto = await choosePrimitives()

async function withSession() {
  const setup = await enrolledDevice()
  const { session } = await setup.device.exchange()
  const sessionId = session?.sessionId ?? ''
  const atServer = (epoch: number) => {
    let chain = setup.server.sessions.get(sessionId)?.chain as Uint8Array
    for (let at = firstBucket; at < epoch; at++) chain = ratchet(crypto, chain, at)
    return chain
  }
  const expected = (epoch: number) =>
    Uint8Array.from(communicationKey(crypto, atServer(epoch), { sessionId, epoch, purpose: 'encryption' }))
  return { ...setup, sessionId, atServer, expected }
}

describe('keys over several epochs', () => {
  it('are those of the server, and chains whose epoch and grace are over are erased from the store', async () => {
    const { device, store, pass, atServer, expected } = await withSession()
    for (let epoch = firstBucket; epoch < firstBucket + 5; epoch++) {
      const { key, epoch: used } = await device.key('encryption')
      expect(used).toBe(epoch)
      expect(key).toEqual(expected(epoch))
      const { session } = (await store.load()) ?? {}
      // A minute into an epoch is the end of the grace of the one before.
      expect(session?.epoch).toBe(epoch)
      expect(session?.chain).toEqual(Uint8Array.from(atServer(epoch)))
      pass(BUCKET_MS)
    }
  })

  it('of the epoch before are there until its grace is over, and gone then', async () => {
    const { device, clock, store, expected } = await withSession()
    clock.now = (firstBucket + 1) * BUCKET_MS + GRACE_MS - 1
    expect((await device.key('encryption')).epoch).toBe(firstBucket + 1)
    expect((await device.key('encryption', { epoch: firstBucket })).key).toEqual(expected(firstBucket))
    clock.now += 1
    expect(await codeOf(device.key('encryption', { epoch: firstBucket }))).toBe('epoch_gone')
    expect((await store.load())?.session?.epoch).toBe(firstBucket + 1)
    clock.now = startAt
    expect((await device.key('encryption')).epoch).toBe(firstBucket + 1)
  })

  it('of the next epoch are there from the skew before it, not earlier', async () => {
    const { device, clock, expected } = await withSession()
    clock.now = (firstBucket + 1) * BUCKET_MS - 30_001
    expect(await codeOf(device.key('encryption', { epoch: firstBucket + 1 }))).toBe('epoch_gone')
    clock.now += 1
    expect((await device.key('encryption', { epoch: firstBucket + 1 })).key).toEqual(expected(firstBucket + 1))
    expect((await device.key('encryption')).epoch).toBe(firstBucket)
  })

  it('differ by purpose and context', async () => {
    const { device } = await withSession()
    const context = new Uint8Array([1])
    const keys = [
      await device.key('encryption'),
      await device.key('signing'),
      await device.key('round', { context }),
      await device.key('round', { context: roundContext('0199b0a4-7e1c-7000-8000-000000000001', 7) }),
    ]
    expect(new Set(keys.map(({ key }) => Buffer.from(key).toString('hex'))).size).toBe(4)
  })

  it.each([
    ['purpose', 'nonsense', {}],
    ['purpose', undefined, {}],
    ['context', 'round', {}],
    ['context', 'round', { context: new Uint8Array(0) }],
    ['context', 'round', { context: 'AAAA' }],
    ['context', 'encryption', { context: new Uint8Array(1) }],
    ['context', 'signing', { context: new Uint8Array(1) }],
    ['epoch', 'encryption', { epoch: firstBucket + 0.5 }],
    ['epoch', 'encryption', { epoch: Number.NaN }],
    ['epoch', 'encryption', { epoch: String(firstBucket) }],
  ])('are not derived with a wrong %s (%j, %j), whatever types a caller has', async (field, purpose, names) => {
    const { device } = await withSession()
    const derived = device.key(purpose as KeyPurpose, names as object)
    await expect(derived).rejects.toMatchObject({ name: 'QflareError', code: 'input_invalid', field })
  })

  it.each([
    ['federationId', 'fleet-7', 7],
    ['federationId', '0199B0A4-7E1C-7000-8000-000000000001', 7],
    ['round', '0199b0a4-7e1c-7000-8000-000000000001', -1],
    ['round', '0199b0a4-7e1c-7000-8000-000000000001', 1.5],
  ])('of a round have no context with a wrong %s', (field, federationId, round) => {
    expect(() => roundContext(federationId, round)).toThrow(expect.objectContaining({ code: 'input_invalid', field }))
  })

  it('end with the session, whose chain is erased', async () => {
    const { device, pass, store } = await withSession()
    pass(3_600_000)
    expect(await codeOf(device.key('encryption'))).toBe('no_session')
    expect((await store.load())?.session).toBeUndefined()
    expect(await codeOf(device.accessToken())).toBe('no_session')
  })

  it('need a session', async () => {
    const { device } = await enrolledDevice()
    expect(await codeOf(device.key('encryption'))).toBe('no_session')
    expect(await codeOf(device.accessToken())).toBe('no_session')
  })

  it('are right for callers that ask at the same time', async () => {
    const { device, pass, expected } = await withSession()
    pass(3 * BUCKET_MS)
    const keys = await Promise.all(Array.from({ length: 4 }, () => device.key('encryption')))
    for (const { key } of keys) expect(key).toEqual(expected(firstBucket + 3))
  })
})

describe('the access token', () => {
  it('is renewed when it is about to end, by a proof of the current epoch', async () => {
    const { device, pass, sessionId } = await withSession()
    expect(await device.accessToken()).toBe(`access-${sessionId}`)
    pass(275_000)
    const renewed = await device.accessToken()
    expect(renewed).toMatch(new RegExp(`^renewed-.*-${firstBucket + 1}$`))
    expect(await device.accessToken()).toBe(renewed)
  })

  it('is refused when the server knows no such session', async () => {
    const { device, server } = await withSession()
    server.sessions.clear()
    expect(await codeOf(device.renewToken())).toBe('unauthenticated')
  })

  it('that the server refuses with the session says what may have become of the device', async () => {
    const { device, server } = await withSession()
    server.tamper = () => refusal(409, 'session_state')
    await expect(device.renewToken()).rejects.toMatchObject({
      code: 'session_state',
      status: 409,
      requestId: expect.any(String),
      message: expect.stringMatching(/suspended or revoked.*exchange/),
    })
    server.tamper = () => refusal(401, 'unauthenticated')
    await expect(device.renewToken()).rejects.toMatchObject({ message: 'Refused: unauthenticated.' })
  })
})
