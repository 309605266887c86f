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

let client: JsonClient
let devices: AttestingDevice[] = []

async function enter(order: Extract<ReattestationOrder, { order: 'enter' }>): Promise<ReattestationAnswer> {
  // The authority of the TPMs is made in this process.
  await trustTestTpms(order)
  const { id: policyId } = await createTpmPolicy(order, 'bench')
  const operator = openOperator({ url: order.url, apiToken: order.adminToken })
  client = createJsonClient(order.url, order.devices)
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

/** Each device attests one time after the other, all devices at once, until the count is reached. */
async function attest(count: number): Promise<ReattestationAnswer> {
  const latenciesMs: number[] = []
  let started = 0
  const startedAt = performance.now()
  await Promise.all(
    devices.map(async (device) => {
      while (started++ < count) {
        latenciesMs.push(await attestOnce(device))
      }
    }),
  )
  return { seconds: (performance.now() - startedAt) / 1000, latenciesMs }
}

/** docs/protocol.md §8, with two requests; the milliseconds from the first byte sent to the last answer. */
async function attestOnce(device: AttestingDevice): Promise<number> {
  const { tpm, deviceId, identityKey, kid, sessionId, accessToken } = device
  const { alg, publicKey } = identityKey
  const askedAt = performance.now()
  const asked = (await client.post('/v1/attestations', 201, {}, accessToken)) as z.input<typeof attestationChallenge>
  const challenge = fromBase64url(asked.challenge)
  const evidence = [quoteOf(tpm, attestationBinding(crypto, { challenge, alg, publicKey, sessionId }))]
  const digest = evidenceDigest(crypto, evidence)
  const signed = reattestationBytes({ deviceId, kid, sessionId, challenge, evidenceDigest: digest })
  const signature = toBase64url(identityKey.sign(signed, signatureContexts.reattest))
  const path = `/v1/attestations/${asked.attestationId}`
  const answer = (await client.post(path, 200, { evidence, signature }, accessToken)) as AttestationAnswer
  const { tier } = answer.attestation
  if (tier !== 'affirming') throw new Error(`A device of the bench is ${tier}.`)
  return performance.now() - askedAt
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
