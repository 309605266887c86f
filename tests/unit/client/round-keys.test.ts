import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { BUCKET_MS, GRACE_MS } from '../../../protocol/exchange/bucket.ts'
import { communicationKey, type KeyPurpose, ratchet } from '../../../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { type RoundKey, type RoundKeysAnswer, roundKeysAnswer } from '../../../protocol/rounds/messages.ts'
import { roundKeysContext, sealRoundKeys } from '../../../protocol/rounds/sealed-round-keys.ts'
import { refusal } from './fake-answer.ts'
import { codeOf, enrolledDevice, firstBucket, type Setup } from './setup.ts'

const crypto = await choosePrimitives()
const federationId = '0197b2f0-0000-7000-8000-0000000000fe'
const line = `POST /v1/federations/${federationId}/rounds/7/keys`
const idOf = (kind: number, n: number) => `0197b2f0-000${kind}-7c3a-9d44-${n.toString(16).padStart(12, '0')}`
const keyOf = (n: number): RoundKey => {
  return { deviceId: idOf(1, n), sessionId: idOf(2, n), epoch: firstBucket, key: new Uint8Array(64).fill(n) }
}

let setup: Setup
afterEach(() => {
  setup.server.tamper = undefined
})

/** The chain key that the fake server has of a session. */
function chainOf(sessionId: string, epoch: number): Uint8Array {
  let chain = setup.server.sessions.get(sessionId)?.chain as Uint8Array
  for (let at = firstBucket; at < epoch; at++) chain = ratchet(crypto, chain, at)
  return chain
}

interface Sealing {
  sessionId: string
  epoch?: number
  round?: number
  purpose?: KeyPurpose
  /** Whose chain it is sealed with, where it is not that of `sessionId`. */
  chain?: Uint8Array
  keys?: readonly RoundKey[]
  refused?: RoundKeysAnswer['refused']
}

/** An answer of a server that knows the coordinator's chain, and may lie in everything else. */
function seal(sealing: Sealing): RoundKeysAnswer {
  const {
    sessionId,
    epoch = firstBucket,
    round = 7,
    purpose = 'seal',
    keys = [keyOf(1), keyOf(2)],
    refused = [],
  } = sealing
  const chain = sealing.chain ?? chainOf(sessionId, epoch)
  const derive = (context: Uint8Array) => communicationKey(crypto, chain, { sessionId, epoch, purpose, context })
  return { epoch, refused, sealed: sealRoundKeys(crypto, { federationId, round, sessionId }, derive, keys) }
}

/** A coordinator with a session; `answers`: what it is given in turn, the last for ever. */
async function coordinator(...answers: ((sessionId: string) => RoundKeysAnswer)[]) {
  setup = await enrolledDevice()
  const { session } = await setup.device.exchange()
  const sessionId = session?.sessionId ?? ''
  setup.server.tamper = (asked, answer) => {
    if (asked !== line) return answer
    const give = answers.length > 1 ? answers.shift() : answers[0]
    return { status: 200, json: z.encode(roundKeysAnswer, (give ?? (() => seal({ sessionId })))(sessionId)) }
  }
  return { ...setup, sessionId }
}

const deviceIds = [idOf(1, 1), idOf(1, 2)]

describe('a coordinator', () => {
  it('has the keys that the server sealed for it, and hears who gets none', async () => {
    const refused = [{ deviceId: idOf(1, 3), code: 'no_session' as const }]
    const { device } = await coordinator((sessionId) => seal({ sessionId, refused }))
    const found = await device.roundKeys(federationId, 7)
    expect(found).toEqual({ epoch: firstBucket, keys: [keyOf(1), keyOf(2)], refused })
    expect(setup.server.requests.at(-1)).toMatchObject({ line, body: {} })
  })

  it('may ask for some devices only', async () => {
    const { device, server } = await coordinator()
    expect((await device.roundKeys(federationId, 7, { deviceIds })).keys).toHaveLength(2)
    expect(server.requests.at(-1)?.body).toEqual({ deviceIds })
  })

  it('asks again when the answer was lost', async () => {
    const { device, server } = await coordinator()
    server.lose.push(line, line)
    expect((await device.roundKeys(federationId, 7)).keys).toHaveLength(2)
    expect(server.count(line)).toBe(3)
  })

  it('asks once more when another process of it exchanged meanwhile', async () => {
    const { device, server } = await coordinator(
      () => seal({ sessionId: older }),
      () => seal({ sessionId: newer }),
    )
    const older = (await device.status()).session?.sessionId ?? ''
    const newer = (await device.exchange()).session?.sessionId ?? ''
    expect((await device.roundKeys(federationId, 7)).keys).toHaveLength(2)
    expect(server.count(line)).toBe(2)
  })

  it('asks once more when the epoch that sealed was over before the answer came', async () => {
    const { device, pass, server } = await coordinator(
      (sessionId) => seal({ sessionId }),
      (sessionId) => seal({ sessionId, epoch: firstBucket + 1 }),
    )
    pass(BUCKET_MS + GRACE_MS)
    expect((await device.roundKeys(federationId, 7)).epoch).toBe(firstBucket + 1)
    expect(server.count(line)).toBe(2)
  })

  it('whose clock is behind opens what was sealed in the epoch that the server says', async () => {
    const { device } = await coordinator((sessionId) => seal({ sessionId, epoch: firstBucket + 2 }))
    expect((await device.roundKeys(federationId, 7)).epoch).toBe(firstBucket + 2)
  })

  it('opens what was sealed in the grace of the epoch before', async () => {
    const { device, pass } = await coordinator()
    pass(BUCKET_MS - 60_000 + GRACE_MS - 1)
    expect((await device.roundKeys(federationId, 7)).epoch).toBe(firstBucket)
  })

  it('hears what the server refuses, and needs a session', async () => {
    const { device, server } = await coordinator()
    server.tamper = (asked, answer) => (asked === line ? refusal(403, 'attestation_required') : answer)
    expect(await codeOf(device.roundKeys(federationId, 7))).toBe('attestation_required')
    const fresh = await enrolledDevice()
    expect(await codeOf(fresh.device.roundKeys(federationId, 7))).toBe('no_session')
  })

  it.each<[string, [string, number, (readonly string[])?]]>([
    ['a federation that is no UUID', ['round', 7]],
    ['a round that is no number', [federationId, -1]],
    ['nobody', [federationId, 7, []]],
    ['a device that is no UUID', [federationId, 7, ['edge-1']]],
  ])('asks nothing with %s', async (_, [federation, round, ids]) => {
    const { device, server } = await coordinator()
    const before = server.requests.length
    expect(await codeOf(device.roundKeys(federation, round, { deviceIds: ids }))).toBe('input_invalid')
    expect(server.requests.length).toBe(before)
  })
})

function turned(answer: RoundKeysAnswer, at: number): RoundKeysAnswer {
  answer.sealed.ciphertext[at] = (answer.sealed.ciphertext[at] as number) ^ 1
  return answer
}

describe('a coordinator refuses', () => {
  it.each<[string, string, (sessionId: string) => RoundKeysAnswer]>([
    ['a ciphertext that was changed', 'ciphertext_invalid', (sessionId) => turned(seal({ sessionId }), 20)],
    [
      'another nonce',
      'ciphertext_invalid',
      (sessionId) => {
        const answer = seal({ sessionId })
        return { ...answer, sealed: { ...answer.sealed, nonce: crypto.randomBytes(12) } }
      },
    ],
    ['keys that were sealed for another round', 'ciphertext_invalid', (sessionId) => seal({ sessionId, round: 8 })],
    [
      'keys under its key of another purpose',
      'ciphertext_invalid',
      (sessionId) => seal({ sessionId, purpose: 'round' }),
    ],
    [
      'keys that somebody without its chain sealed',
      'ciphertext_invalid',
      (sessionId) => seal({ sessionId, chain: crypto.randomBytes(64) }),
    ],
    [
      'keys of an epoch that it is not sealed in',
      'ciphertext_invalid',
      (sessionId) => {
        const answer = seal({ sessionId, chain: chainOf(sessionId, firstBucket) })
        return { ...answer, epoch: firstBucket + 1 }
      },
    ],
    [
      'keys for a session that is not its own',
      'ciphertext_invalid',
      () => seal({ sessionId: idOf(2, 9), chain: crypto.randomBytes(64) }),
    ],
    ['an epoch that is far away', 'ciphertext_invalid', (sessionId) => ({ ...seal({ sessionId }), epoch: 2 ** 50 })],
    [
      'a key of 63 bytes',
      'ciphertext_invalid',
      (sessionId) => seal({ sessionId, keys: [keyOf(1), { ...keyOf(2), key: new Uint8Array(63) }] }),
    ],
    [
      'a key of 65 bytes',
      'ciphertext_invalid',
      (sessionId) => seal({ sessionId, keys: [keyOf(1), { ...keyOf(2), key: new Uint8Array(65) }] }),
    ],
    [
      'a key of nobody',
      'ciphertext_invalid',
      (sessionId) => seal({ sessionId, keys: [keyOf(1), { ...keyOf(2), deviceId: '' }] }),
    ],
    ['a device that is not among them', 'round_invalid', (sessionId) => seal({ sessionId, keys: [keyOf(1)] })],
    [
      'a device that nobody asked for',
      'round_invalid',
      (sessionId) => seal({ sessionId, keys: [keyOf(1), keyOf(2), keyOf(3)] }),
    ],
    ['a device twice', 'round_invalid', (sessionId) => seal({ sessionId, keys: [keyOf(1), keyOf(2), keyOf(2)] })],
    [
      'a device with a key and a refusal',
      'round_invalid',
      (sessionId) => seal({ sessionId, refused: [{ deviceId: idOf(1, 2), code: 'no_session' }] }),
    ],
    [
      'two devices of one session',
      'round_invalid',
      (sessionId) => seal({ sessionId, keys: [keyOf(1), { ...keyOf(2), sessionId: idOf(2, 1) }] }),
    ],
  ])('%s', async (_, code, answer) => {
    const { device } = await coordinator(answer)
    expect(await codeOf(device.roundKeys(federationId, 7, { deviceIds }))).toBe(code)
  })

  it('what is no list of keys, sealed as it should be', async () => {
    const { device } = await coordinator((sessionId) => {
      const nonce = crypto.randomBytes(12)
      const context = roundKeysContext(federationId, 7, nonce)
      const chain = chainOf(sessionId, firstBucket)
      const key = communicationKey(crypto, chain, { sessionId, epoch: firstBucket, purpose: 'seal', context })
      const plaintext = new TextEncoder().encode('{"keys":[],"more":1}')
      const ciphertext = crypto.sealAesGcm(key.subarray(0, 32), nonce, plaintext, context)
      return { epoch: firstBucket, refused: [], sealed: { sessionId, nonce, ciphertext } }
    })
    expect(await codeOf(device.roundKeys(federationId, 7))).toBe('ciphertext_invalid')
  })
})
