import type { z } from 'zod'
import type { Attester } from '../../client/attester.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import {
  type AttestationAnswer,
  type attestationChallenge,
  reattestationBytes,
} from '../../protocol/attestation/messages.ts'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { attestationBinding, evidenceDigest } from '../../protocol/enrollment.ts'
import { keyId } from '../../protocol/key-id.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import type { SigningKey } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { activateCredential } from '../../tests/support/tpm/activate-credential.ts'
import { createTpmPolicy, keysOf, quoteOf, tpmNamed } from '../../tests/support/tpm/device.ts'
import { toText } from '../../tests/support/tpm/evidence.ts'
import { trustTestTpms } from '../../tests/support/tpm/service.ts'
import type { SoftwareTpm } from '../../tests/support/tpm/software-tpm.ts'
import { createJsonClient, type JsonClient } from '../json-client.ts'

// Devices with TPMs in software, in a process of their own: what they cost is theirs. They enrol by the SDK, and attest with as little
// as it takes, for their process shares the cores with the service.

export type ReattestationOrder =
  | { order: 'enter'; url: string; adminToken: string; devices: number }
  | { order: 'attest'; attestations: number }
export interface ReattestationAnswer {
  seconds: number
  latenciesMs: number[]
}

const crypto = createNativePrimitives()

interface AttestingDevice {
  tpm: SoftwareTpm
  deviceId: string
  identityKey: SigningKey
  kid: string
  sessionId: string
  accessToken: string
}

/** Requests under way at once. */
const CONNECTIONS = 16

let client: JsonClient
let devices: AttestingDevice[] = []

async function enter(order: Extract<ReattestationOrder, { order: 'enter' }>): Promise<ReattestationAnswer> {
  // The authority of the TPMs is made in this process.
  await trustTestTpms(order)
  const { id: policyId } = await createTpmPolicy(order, 'bench')
  const operator = openOperator({ url: order.url, apiToken: order.adminToken })
  client = createJsonClient(order.url, CONNECTIONS)
  devices = []
  for (let i = 0; i < order.devices; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device', policyId })
    const tpm = tpmNamed(`bench ${i}`)
    const store = createMemoryStore()
    const device = await enrollDevice({
      url: order.url,
      token,
      store,
      name: `bench-${i}`,
      attesters: [toAttester(tpm)],
    })
    await device.exchange()
    const state = await store.load()
    if (state?.session === undefined) throw new Error('The device has no session.')
    const { alg, seed } = state.identity
    const identityKey = crypto.importSigningKey(alg, seed)
    const { sessionId, accessToken } = state.session
    const kid = keyId(crypto, alg, identityKey.publicKey)
    devices.push({ tpm, deviceId: state.deviceId, identityKey, kid, sessionId, accessToken })
  }
  return { seconds: 0, latenciesMs: [] }
}

function toAttester(tpm: SoftwareTpm): Attester {
  let enrolling: Awaited<ReturnType<NonNullable<Attester['activate']>>> = {}
  return {
    format: 'tpm2',
    credentialRequest: async () => keysOf(tpm),
    async activate(credential) {
      enrolling = { ...keysOf(tpm), activatedSecret: toText(activateCredential(tpm, credential)) }
      return enrolling
    },
    collect: async (binding) => quoteOf(tpm, binding),
  }
}

/** What a device has asked for, and not answered yet. */
interface Asked {
  device: AttestingDevice
  attestationId: string
  challenge: string
  milliseconds: number
}

/**
 * All devices ask for a challenge, then all sign, then all submit, until the count is reached. What stands between is no time of the
 * service's: a device signs on a processor of its own, and here it would take one of the service's two.
 */
async function attest(count: number): Promise<ReattestationAnswer> {
  const latenciesMs: number[] = []
  let seconds = 0
  while (latenciesMs.length < count) {
    const startedAt = performance.now()
    const asked = await forAll(devices.slice(0, count - latenciesMs.length), ask)
    const askedAt = performance.now()
    const signed = asked.map(sign)
    const signedAt = performance.now()
    latenciesMs.push(...(await forAll(signed, submit)))
    seconds += (performance.now() - signedAt + askedAt - startedAt) / 1000
  }
  return { seconds, latenciesMs }
}

/** With as many under way at once as there are connections. */
async function forAll<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const rest = items.entries()
  const takeAll = async () => {
    for (const [index, item] of rest) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, takeAll))
  return results
}

/** The first request of docs/protocol.md §8. */
async function ask(device: AttestingDevice): Promise<Asked> {
  const askedAt = performance.now()
  const answer = await client.post('/v1/attestations', 201, {}, device.accessToken)
  const { attestationId, challenge } = answer as z.input<typeof attestationChallenge>
  return { device, attestationId, challenge, milliseconds: performance.now() - askedAt }
}

function sign(asked: Asked) {
  const { tpm, deviceId, identityKey, kid, sessionId } = asked.device
  const { alg, publicKey } = identityKey
  const challenge = fromBase64url(asked.challenge)
  const evidence = [quoteOf(tpm, attestationBinding(crypto, { challenge, alg, publicKey, sessionId }))]
  const digest = evidenceDigest(crypto, evidence)
  const signed = reattestationBytes({ deviceId, kid, sessionId, challenge, evidenceDigest: digest })
  const signature = toBase64url(identityKey.sign(signed, signatureContexts.reattest))
  return { asked, body: { evidence, signature } }
}

/** The second; the milliseconds that a device waited for both. */
async function submit({ asked, body }: ReturnType<typeof sign>): Promise<number> {
  const submittedAt = performance.now()
  const path = `/v1/attestations/${asked.attestationId}`
  const answer = (await client.post(path, 200, body, asked.device.accessToken)) as AttestationAnswer
  const { tier } = answer.attestation
  if (tier !== 'affirming') throw new Error(`A device of the bench is ${tier}.`)
  return asked.milliseconds + performance.now() - submittedAt
}

process.on('message', (order: ReattestationOrder) => {
  const work = order.order === 'enter' ? enter(order) : attest(order.attestations)
  work.then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
