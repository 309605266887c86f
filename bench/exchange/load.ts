import { z } from 'zod'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { acceptAnswer, initiateExchange } from '../../protocol/exchange/initiate.ts'
import {
  type BucketCertificate,
  bucketsAnswer,
  confirmAnswer,
  exchangeAnswer,
  exchangeRequest,
} from '../../protocol/exchange/messages.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createJsonClient, type JsonClient } from '../json-client.ts'

// The devices of the bench, in a process of their own: what they cost is theirs.

const crypto = createNativePrimitives()
type BenchDevice = Parameters<typeof initiateExchange>[1]

export type LoadOrder =
  | { order: 'enroll'; url: string; adminToken: string; devices: number }
  | { order: 'exchange'; exchanges: number }
export type LoadAnswer = {
  seconds: number
  latenciesMs: number[]
  /** The first device, after its last exchange. */
  device: { deviceId: string; accessToken: string } | undefined
}

let url: URL
let client: JsonClient
let devices: BenchDevice[] = []

async function enroll(order: Extract<LoadOrder, { order: 'enroll' }>): Promise<LoadAnswer> {
  url = new URL(order.url)
  client = createJsonClient(order.url, order.devices)
  const operator = openOperator({ url: order.url, apiToken: order.adminToken })
  devices = []
  for (let i = 0; i < order.devices; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device' })
    const store = createMemoryStore()
    await enrollDevice({ url: order.url, token, store, name: `bench-${i}` })
    const state = await store.load()
    if (state === undefined) throw new Error('The device was not kept.')
    const identitySeed = state.identity.seed
    const identityKey = crypto.importSigningKey(state.identity.alg, identitySeed)
    devices.push({ deviceId: state.deviceId, identitySeed, identityKey })
  }
  return { seconds: 0, latenciesMs: [], device: undefined }
}

/** Each device runs one exchange after the other, all devices at once, until the count is reached. */
async function exchange(count: number): Promise<LoadAnswer> {
  const latenciesMs: number[] = []
  let first: LoadAnswer['device']
  let started = 0
  const startedAt = performance.now()
  await Promise.all(
    devices.map(async (device) => {
      while (started++ < count) {
        const { latencyMs, accessToken } = await exchangeOnce(device)
        latenciesMs.push(latencyMs)
        if (device === devices[0]) first = { deviceId: device.deviceId, accessToken }
      }
    }),
  )
  return { seconds: (performance.now() - startedAt) / 1000, latenciesMs, device: first }
}

/** Two requests, their answers checked; the milliseconds from the first byte sent to the last answer. */
async function exchangeOnce(device: BenchDevice): Promise<{ latencyMs: number; accessToken: string }> {
  const initiated = initiateExchange(crypto, device, await currentCertificate())
  const startedAt = performance.now()
  const answer = exchangeAnswer.parse(
    await client.post('/v1/exchanges', 201, z.encode(exchangeRequest, initiated.request)),
  )
  const { sessionId, deviceConfirmation } = acceptAnswer(crypto, initiated, answer)
  const confirmation = { deviceId: device.deviceId, confirmation: toBase64url(deviceConfirmation) }
  const { accessToken } = confirmAnswer.parse(
    await client.post(`/v1/exchanges/${sessionId}/confirm`, 200, confirmation),
  )
  return { latencyMs: performance.now() - startedAt, accessToken }
}

let held: BucketCertificate | undefined

async function currentCertificate(): Promise<BucketCertificate> {
  if (held !== undefined && Date.now() < held.notAfter) return held
  const answer = await fetch(new URL('/v1/buckets', url))
  held = bucketsAnswer.parse(await answer.json()).certificates[0]
  if (held === undefined) throw new Error('The service has no certificate.')
  return held
}

process.on('message', (order: LoadOrder) => {
  const work = order.order === 'enroll' ? enroll(order) : exchange(order.exchanges)
  work.then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
