import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type EnrollmentOptions, enrollDevice, parseEnrollmentToken } from '../../../client/enroll-device.ts'
import { createMemoryStore } from '../../../client/memory-store.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { trustBundle } from '../../../protocol/trust.ts'
import { newSigner, signBundle, toTrustKey } from './fake-authority.ts'
import type { FakeServer } from './fake-server.ts'
import { codeOf, startAt, startServer } from './setup.ts'

const crypto = await choosePrimitives()

function options(server: FakeServer, more: Partial<EnrollmentOptions> = {}): EnrollmentOptions {
  const waitNot = async () => undefined
  const parts = { url: server.url, store: createMemoryStore(), name: 'edge-1', now: () => startAt, wait: waitNot }
  return { ...parts, token: more.token ?? server.newToken(), ...more }
}

describe('enrolling', () => {
  it('stores an identity that the server knows and never tells it the pin', async () => {
    const server = await startServer()
    const device = await enrollDevice(options(server, { kind: 'coordinator', alg: 'ML-DSA-65', metadata: { rack: 4 } }))
    const status = await device.status()
    expect(status).toMatchObject({ kind: 'coordinator', name: 'edge-1', identityKey: { alg: 'ML-DSA-65' } })
    expect(status.spiffeId).toBe(`spiffe://test.qflare/default/coordinator/${status.deviceId}`)
    expect(status.session).toBeUndefined()
    expect(JSON.stringify(server.requests[0]?.body)).not.toContain(server.authority.pin)
  })

  it('takes the first algorithm of the policy by default and refuses one outside it before anything is signed', async () => {
    const server = await startServer()
    expect((await (await enrollDevice(options(server))).status()).identityKey.alg).toBe('ML-DSA-44')
    server.tamper = (_line, answer) => ({
      ...answer,
      json: { ...(answer.json as object), policy: { evidence: ['none'], identityAlgorithms: ['ML-DSA-87'] } },
    })
    expect(await codeOf(enrollDevice(options(server, { alg: 'ML-DSA-44' })))).toBe('policy_refused')
    server.tamper = (_line, answer) => ({
      ...answer,
      json: { ...(answer.json as object), policy: { evidence: ['tpm2'], identityAlgorithms: ['ML-DSA-44'] } },
    })
    expect(await codeOf(enrollDevice(options(server)))).toBe('policy_refused')
    expect(server.requests.filter(({ line }) => line.endsWith('/complete'))).toHaveLength(1)
  })

  it.each([
    ['name', { name: '' }],
    ['name', { name: 'a'.repeat(129) }],
    ['name', { name: 'edge\u0007' }],
    ['name', { name: ' \u3164' }],
    ['name', { name: undefined }],
    ['kind', { kind: 'server' }],
    ['alg', { alg: 'RSA' }],
    ['metadata.rack', { metadata: { rack: 'x'.repeat(257) } }],
    ['metadata.rack', { metadata: { rack: Number.NaN } }],
    ['metadata', { metadata: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`m${index}`, index])) }],
    ['url', { url: 'trust.example' }],
    ['url', { url: '' }],
  ])('refuses a wrong %s before it asks the server or touches the store: %j', async (field, wrong) => {
    const server = await startServer()
    const untouched = async () => {
      throw new Error('touched')
    }
    const store = { load: untouched, save: untouched, prepare: untouched }
    const given = { ...options(server, { store }), ...wrong } as EnrollmentOptions
    await expect(enrollDevice(given)).rejects.toMatchObject({ name: 'QflareError', code: 'input_invalid', field })
    expect(server.requests).toEqual([])
  })

  it('refuses a server that the pin does not name', async () => {
    const server = await startServer()
    const token = server.newToken().replace(/[^.]+$/, newSigner(crypto).kid)
    expect(await codeOf(enrollDevice(options(server, { token })))).toBe('trust_invalid')
    expect(server.requests).toHaveLength(1)
  })

  it('refuses a bundle that was changed, and one that another root key signed under the pinned kid', async () => {
    const server = await startServer()
    const other = newSigner(crypto)
    const added = {
      ...server.authority.bundles[0],
      keys: [...(server.authority.bundles[0]?.keys ?? []), toTrustKey(other, 'bucket')],
    }
    const resigned = signBundle(1, added.keys, { kid: server.authority.pin, key: other.key })
    for (const bundle of [added, resigned]) {
      server.tamper = (_line, answer) => ({
        ...answer,
        json: { ...(answer.json as object), trust: z.encode(trustBundle, bundle as never) },
      })
      expect(await codeOf(enrollDevice(options(server)))).toBe('trust_invalid')
    }
  })

  it('refuses another bundle in the answer than in the challenge, and stores nothing then', async () => {
    const server = await startServer()
    const store = createMemoryStore()
    const other = newSigner(crypto)
    const bundle = signBundle(1, [toTrustKey(other, 'root'), toTrustKey(other, 'bucket')], other)
    server.tamper = (line, answer) =>
      line.endsWith('/complete')
        ? { ...answer, json: { ...(answer.json as object), trust: z.encode(trustBundle, bundle) } }
        : answer
    expect(await codeOf(enrollDevice(options(server, { store })))).toBe('trust_invalid')
    expect(await store.load()).toBeUndefined()
  })

  it('takes a rotation between challenge and answer when it follows', async () => {
    const server = await startServer()
    server.tamper = (line, answer) =>
      line.endsWith('/complete')
        ? { ...answer, json: { ...(answer.json as object), trust: z.encode(trustBundle, server.authority.rotate()) } }
        : answer
    const status = await (await enrollDevice(options(server))).status()
    expect(status.trust).toEqual({ trustDomain: 'test.qflare', sequence: 2 })
  })

  it('sends the same signed completion again when its answer was lost', async () => {
    const server = await startServer()
    server.lose.push('POST /v1/enrollments')
    server.tamper = (line, answer) => {
      if (line.endsWith('/complete') && server.count(line) === 1) server.lose.push(line)
      return answer
    }
    const device = await enrollDevice(options(server))
    const completions = server.requests.filter(({ line }) => line.endsWith('/complete'))
    expect(completions).toHaveLength(2)
    expect(completions[1]?.body).toEqual(completions[0]?.body)
    expect((await device.status()).name).toBe('edge-1')
  })

  it('never replaces a device that is there, and spends no token on it', async () => {
    const server = await startServer()
    const store = createMemoryStore()
    await enrollDevice(options(server, { store }))
    const requests = server.requests.length
    expect(await codeOf(enrollDevice(options(server, { store })))).toBe('already_enrolled')
    expect(server.requests).toHaveLength(requests)
  })

  it('gives the server’s refusal with its code and request id', async () => {
    const server = await startServer()
    const token = server.newToken()
    await enrollDevice(options(server, { token }))
    await expect(enrollDevice(options(server, { token }))).rejects.toMatchObject({
      code: 'enrollment_refused',
      status: 401,
      requestId: '11111111-2222-4333-8444-555555555555',
      message: 'Refused: enrollment_refused.',
    })
  })

  it('refuses an answer with an unknown member, and a SPIFFE ID of another trust domain', async () => {
    const server = await startServer()
    server.tamper = (_line, answer) => ({ ...answer, json: { ...(answer.json as object), more: 1 } })
    expect(await codeOf(enrollDevice(options(server)))).toBe('bad_answer')
    server.tamper = (line, answer) =>
      line.endsWith('/complete')
        ? { ...answer, json: { ...(answer.json as object), spiffeId: 'spiffe://test.qflare.evil/x' } }
        : answer
    expect(await codeOf(enrollDevice(options(server)))).toBe('bad_answer')
  })
})

describe('an enrolment token', () => {
  const [id, secret, pin] = ['0199b0a4-7e1c-7000-8000-000000000001', 'A'.repeat(43), `${'B'.repeat(21)}A`]

  it('is three parts of the right form', () => {
    expect(parseEnrollmentToken(`${id}.${secret}.${pin}\n`)).toEqual({ id, secret, pin })
  })

  it.each([
    ['nothing', ''],
    ['no pin', `${id}.${secret}`],
    ['a fourth part', `${id}.${secret}.${pin}.x`],
    ['a short secret', `${id}.${secret.slice(1)}.${pin}`],
    ['trailing bits in the secret', `${id}.${'A'.repeat(42)}B.${pin}`],
    ['an upper-case id', `${id.toUpperCase()}.${secret}.${pin}`],
    ['a short pin', `${id}.${secret}.${pin.slice(1)}`],
  ])('is refused with %s, and not repeated in the message', (_what, text) => {
    expect(() => parseEnrollmentToken(text)).toThrow(expect.objectContaining({ code: 'token_invalid' }))
    expect(() => parseEnrollmentToken(text)).not.toThrow(secret.slice(1))
  })
})
