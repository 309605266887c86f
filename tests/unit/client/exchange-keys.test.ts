import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openDevice } from '../../../client/device.ts'
import { updateDeviceState } from '../../../client/device-state.ts'
import { BUCKET_MS } from '../../../protocol/exchange/bucket.ts'
import { communicationKey } from '../../../protocol/exchange/epochs.ts'
import { bucketCertificate } from '../../../protocol/exchange/messages.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { refusal } from './fake-answer.ts'
import { newSigner } from './fake-authority.ts'
import { codeOf, enrolledDevice, firstBucket, startAt } from './setup.ts'

const crypto = await choosePrimitives()
const EXCHANGE = 'POST /v1/exchanges'

describe('an exchange', () => {
  it('gives both ends the same key of the same epoch', async () => {
    const { server, device } = await enrolledDevice()
    const { session } = await device.exchange()
    const { key, epoch, sessionId } = await device.key('encryption')
    const atServer = server.sessions.get(sessionId)
    expect(atServer?.active).toBe(true)
    expect(session).toMatchObject({ sessionId, epoch: firstBucket, clockOffsetMs: 0, expiresAt: startAt + 3_600_000 })
    const names = { sessionId, epoch, purpose: 'encryption' } as const
    expect(key).toEqual(Uint8Array.from(communicationKey(crypto, atServer?.chain as Uint8Array, names)))
    expect((await device.status()).bucketFloor).toBe(firstBucket)
  })

  it('replaces the session before, at half of its life', async () => {
    const { device, pass } = await enrolledDevice()
    const first = await device.exchangeWhenDue()
    expect((await device.exchangeWhenDue()).session?.sessionId).toBe(first.session?.sessionId)
    const half = (first.session?.nextExchangeAt ?? 0) - startAt
    expect(half).toBeGreaterThanOrEqual(0.45 * 3_600_000)
    expect(half).toBeLessThanOrEqual(0.55 * 3_600_000)
    pass(half)
    const second = await device.exchangeWhenDue()
    expect(second.session?.sessionId).not.toBe(first.session?.sessionId)
    expect(second.bucketFloor).toBeGreaterThan(firstBucket)
  })

  it('refuses a wrong confirmation: no session, and the floor is untouched', async () => {
    const { server, device } = await enrolledDevice()
    server.tamper = (line, answer) =>
      line === EXCHANGE ? { ...answer, json: { ...(answer.json as object), confirmation: 'A'.repeat(86) } } : answer
    expect(await codeOf(device.exchange())).toBe('confirmation_invalid')
    expect(await device.status()).toMatchObject({ bucketFloor: 0, session: undefined })
    expect(server.requests.some(({ line }) => line.endsWith('/confirm'))).toBe(false)
  })

  it('refuses an answer whose expiry was changed', async () => {
    const { server, device } = await enrolledDevice()
    server.tamper = (line, answer) =>
      line === EXCHANGE ? { ...answer, json: { ...(answer.json as object), expiresAt: startAt + 7_200_000 } } : answer
    expect(await codeOf(device.exchange())).toBe('confirmation_invalid')
  })

  it.each(['nonce', 'ciphertext', 'confirmation'])('refuses an answer whose %s has another length', async (member) => {
    const { server, device } = await enrolledDevice()
    server.tamper = (line, answer) =>
      line === EXCHANGE ? { ...answer, json: { ...(answer.json as object), [member]: 'AAAA' } } : answer
    await expect(device.exchange()).rejects.toMatchObject({
      code: 'bad_answer',
      message: expect.stringContaining(member),
    })
  })

  it('refuses an unknown member, whatever answer has it', async () => {
    const { server, device } = await enrolledDevice()
    for (const changed of ['GET /v1/trust?after=1', 'GET /v1/buckets', EXCHANGE, '/confirm']) {
      server.tamper = (line, answer) =>
        line.endsWith(changed) ? { ...answer, json: { ...(answer.json as object), more: 1 } } : answer
      expect(await codeOf(device.exchange()), changed).toBe('bad_answer')
    }
  })

  it('makes a new message when the answer was lost, never the same', async () => {
    const { server, device } = await enrolledDevice()
    server.lose.push(EXCHANGE)
    await device.exchange()
    const [first, second, ...rest] = server.requests.filter(({ line }) => line === EXCHANGE).map(({ body }) => body)
    expect(rest).toEqual([])
    for (const member of ['nonce', 'clientKey', 'ciphertext', 'signature']) {
      expect((second as Record<string, string>)[member]).not.toBe((first as Record<string, string>)[member])
    }
  })

  it('gives up after the third lost answer, having backed off between the messages', async () => {
    const { server, store, clock } = await enrolledDevice()
    const waits: number[] = []
    const wait = async (ms: number) => void waits.push(ms)
    const device = await openDevice({ store, now: () => clock.now, wait })
    server.lose.push(EXCHANGE, EXCHANGE, EXCHANGE)
    expect(await codeOf(device.exchange())).toBe('network')
    expect(server.count(EXCHANGE)).toBe(3)
    expect(waits).toHaveLength(2)
    expect(waits[0]).toBeLessThanOrEqual(500)
    expect(waits[1]).toBeLessThanOrEqual(1000)
  })

  it('that is aborted leaves the state as it was, and the next one succeeds', async () => {
    const { server, store, device } = await enrolledDevice()
    const before = await store.load()
    const controller = new AbortController()
    const reason = new Error('enough')
    server.tamper = (line, answer) => {
      if (line === EXCHANGE) controller.abort(reason)
      return answer
    }
    await expect(device.exchange({ signal: controller.signal })).rejects.toBe(reason)
    expect(await store.load()).toEqual(before)
    server.tamper = undefined
    expect((await device.exchange({ signal: new AbortController().signal })).session).toBeDefined()
  })

  it('and every other call end at once when their signal is aborted already, without a request', async () => {
    const { server, device } = await enrolledDevice()
    const signal = AbortSignal.abort(new Error('enough'))
    const seen = server.requests.length
    for (const call of [
      () => device.exchange({ signal }),
      () => device.exchangeWhenDue({ signal }),
      () => device.key('encryption', { signal }),
      () => device.accessToken({ signal }),
      () => device.renewToken({ signal }),
      () => device.followTrust({ signal }),
      () => device.status({ signal }),
    ]) {
      await expect(call()).rejects.toThrow('enough')
    }
    expect(server.requests).toHaveLength(seen)
  })

  it('mixes the chain of the session before into its secrets, so that a stuck random source gives no key twice', async () => {
    const { server, store, clock } = await enrolledDevice()
    const stuck = { ...crypto, randomBytes: (length: number) => new Uint8Array(length).fill(7) }
    const device = await openDevice({ store, now: () => clock.now, crypto: stuck })
    await device.exchange()
    await device.exchange()
    const keys = server.requests
      .filter(({ line }) => line === EXCHANGE)
      .map(({ body }) => (body as { clientKey: string }).clientKey)
    expect(new Set(keys).size).toBe(2)
  })

  it('repeats the same confirmation when its answer was lost', async () => {
    const { server, device } = await enrolledDevice()
    server.tamper = (line, answer) => {
      if (line.endsWith('/confirm') && server.count(line) === 1) server.lose.push(line)
      return answer
    }
    const { session } = await device.exchange()
    const confirmations = server.requests.filter(({ line }) => line.endsWith('/confirm'))
    expect(confirmations).toHaveLength(2)
    expect(confirmations[1]?.body).toEqual(confirmations[0]?.body)
    expect(server.sessions.get(session?.sessionId ?? '')?.active).toBe(true)
  })

  it('fetches certificates past caches when it is refused, and tries once with the new ones', async () => {
    const { server, device } = await enrolledDevice()
    const cached = z.encode(bucketCertificate, server.authority.bucket(firstBucket).certificate)
    server.authority.renewBucket(firstBucket)
    server.tamper = (line, answer) => {
      const anew = server.requests.at(-1)?.headers['cache-control'] === 'no-cache'
      return line !== 'GET /v1/buckets' || anew
        ? answer
        : { ...answer, json: { ...(answer.json as object), certificates: [cached] } }
    }
    await device.exchange()
    expect(server.count(EXCHANGE)).toBe(2)
  })

  it('does not send a refused message’s like for the same certificate', async () => {
    const { server, device } = await enrolledDevice()
    server.tamper = (line, answer) => (line === EXCHANGE ? refusal(401, 'exchange_refused') : answer)
    expect(await codeOf(device.exchange())).toBe('exchange_refused')
    expect(server.count(EXCHANGE)).toBe(1)
    expect(server.count('GET /v1/buckets')).toBe(2)
  })

  it('uses no suite that it does not allow', async () => {
    const { store } = await enrolledDevice()
    const device = await openDevice({ store, now: () => startAt, allowedSuites: [] })
    expect(await codeOf(device.exchange())).toBe('suite_refused')
  })
})

describe('a bucket certificate', () => {
  it('of a key that is not in the bundle is refused', async () => {
    const { server, device } = await enrolledDevice()
    const { kid: _kid, signature: _signature, ...unsigned } = server.authority.bucket(firstBucket).certificate
    const forged = z.encode(bucketCertificate, server.authority.signCertificate(unsigned, newSigner(crypto)))
    server.tamper = (line, answer) =>
      line === 'GET /v1/buckets'
        ? { ...answer, json: { certificates: [forged], graceMs: 60_000, skewMs: 30_000 } }
        : answer
    expect(await codeOf(device.exchange())).toBe('certificate_invalid')
    expect(server.count(EXCHANGE)).toBe(0)
  })

  it('with another key, other dates or another signature is refused', async () => {
    const { server, device } = await enrolledDevice()
    const genuine = z.encode(bucketCertificate, server.authority.bucket(firstBucket).certificate)
    const next = z.encode(bucketCertificate, server.authority.bucket(firstBucket + 1).certificate)
    const changes = [
      { publicKey: next.publicKey },
      { signature: next.signature },
      { notAfter: genuine.notAfter + BUCKET_MS },
      { notBefore: genuine.notBefore - 1 },
    ]
    for (const change of changes) {
      server.tamper = (line, answer) =>
        line === 'GET /v1/buckets'
          ? { ...answer, json: { certificates: [{ ...genuine, ...change }], graceMs: 60_000, skewMs: 30_000 } }
          : answer
      expect(await codeOf(device.exchange()), Object.keys(change)[0]).toBe('certificate_invalid')
    }
  })

  it('below the floor is refused, and the floor is not lowered', async () => {
    const { server, store, device } = await enrolledDevice()
    await updateDeviceState(store, (state) => ({ ...state, bucketFloor: firstBucket + 2 }))
    expect(await codeOf(device.exchange())).toBe('certificate_invalid')
    expect(server.count(EXCHANGE)).toBe(0)
    expect((await device.status()).bucketFloor).toBe(firstBucket + 2)
  })
})

describe('a wrong clock', () => {
  it.each([-10, 10, -60 * 24 * 400])('that is %i minutes off is corrected by the server’s hint', async (minutes) => {
    const { server, device, clock, pass } = await enrolledDevice()
    clock.now = startAt + minutes * 60_000
    const { session, bucketFloor } = await device.exchange()
    expect(session?.clockOffsetMs).toBe(-minutes * 60_000)
    expect(bucketFloor).toBe(firstBucket)
    expect((await device.key('encryption')).epoch).toBe(firstBucket)
    pass(BUCKET_MS)
    expect((await device.key('encryption')).epoch).toBe(firstBucket + 1)
    expect(await device.renewToken()).toMatch(new RegExp(`-${firstBucket + 1}$`))
    expect(server.count(EXCHANGE)).toBe(2)
  })

  it('with a cached certificate that fits it costs one refused message', async () => {
    const { server, device, clock } = await enrolledDevice()
    const cached = z.encode(bucketCertificate, server.authority.bucket(firstBucket).certificate)
    server.now += 2 * BUCKET_MS
    server.tamper = (line, answer) =>
      line === 'GET /v1/buckets' && server.requests.at(-1)?.headers['cache-control'] !== 'no-cache'
        ? { ...answer, json: { ...(answer.json as object), certificates: [cached] } }
        : answer
    const { session } = await device.exchange()
    expect(session?.clockOffsetMs).toBe(server.now - clock.now)
    expect(server.count(EXCHANGE)).toBe(2)
  })

  it('is not corrected to a bucket below the floor', async () => {
    const { server, store, device, clock } = await enrolledDevice()
    await updateDeviceState(store, (state) => ({ ...state, bucketFloor: firstBucket + 3 }))
    clock.now = startAt + 3 * BUCKET_MS
    expect(await codeOf(device.exchange())).toBe('clock_refused')
    expect(await device.status()).toMatchObject({ bucketFloor: firstBucket + 3, session: undefined })
    expect(server.count(EXCHANGE)).toBe(1)
  })

  it('is not corrected to a time that no certificate fits', async () => {
    const { server, device, clock } = await enrolledDevice()
    clock.now = startAt + 10 * BUCKET_MS
    server.tamper = (line, answer) =>
      line === EXCHANGE ? refusal(409, 'bucket_out_of_window', { now: startAt + 50 * BUCKET_MS }) : answer
    expect(await codeOf(device.exchange())).toBe('bucket_out_of_window')
    expect((await device.status()).bucketFloor).toBe(0)
    expect(server.count(EXCHANGE)).toBe(1)
  })
})

describe('a session of the next bucket', () => {
  it('uses its first epoch before that begins', async () => {
    const { server, device, clock, pass } = await enrolledDevice()
    server.now = (firstBucket + 1) * BUCKET_MS - 20_000
    clock.now = server.now
    server.tamper = (line, answer) => {
      const certificate = z.encode(bucketCertificate, server.authority.bucket(firstBucket + 1).certificate)
      return line === 'GET /v1/buckets'
        ? { ...answer, json: { ...(answer.json as object), certificates: [certificate] } }
        : answer
    }
    await device.exchange()
    expect((await device.key('signing')).epoch).toBe(firstBucket + 1)
    expect(await device.renewToken()).toMatch(new RegExp(`-${firstBucket + 1}$`))
    pass(BUCKET_MS)
    expect((await device.key('signing')).epoch).toBe(firstBucket + 1)
  })
})
