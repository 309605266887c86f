import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { acceptAnswer, initiateExchange } from '../../protocol/exchange/initiate.ts'
import {
  type BucketCertificate,
  bucketsAnswer,
  exchangeAnswer,
  exchangeRequest,
} from '../../protocol/exchange/messages.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { newId } from '../../runtime/ids.ts'
import type { Attempt, ChangeKind, Ledger } from './ledger.ts'
import { type Reply, sendRequest } from './send-request.ts'

const crypto = createNativePrimitives()
/** After an answer that is none: whoever is away stays away for longer than this. */
const PAUSE_MS = 25

type LoadDevice = Parameters<typeof initiateExchange>[1]

export interface Load {
  /** Every client makes one change after the other until the signal; resolves when nothing is under way any more. */
  run(url: string, stop: AbortSignal): Promise<void>
  /** The name that each device was last asked to have, and whether that was acknowledged. */
  devices: readonly { deviceId: string; names: readonly { name: string; isAcknowledged: boolean }[] }[]
}

/** Clients with a device each, which they enrol first. */
export async function createLoad(
  ledger: Ledger,
  options: { url: string; adminToken: string; clients: number; onAnswer: (status: number) => void },
): Promise<Load> {
  const operator = openOperator({ url: options.url, apiToken: options.adminToken })
  const clients: Client[] = []
  for (let i = 0; i < options.clients; i++) {
    const { token } = await operator.createEnrollmentToken({ kind: 'device' })
    const store = createMemoryStore()
    await enrollDevice({ url: options.url, token, store, name: `client ${i}` })
    const state = await store.load()
    if (state === undefined) throw new Error('the device was not kept')
    const identitySeed = state.identity.seed
    const identityKey = crypto.importSigningKey(state.identity.alg, identitySeed)
    clients.push(createClient(ledger, options, { deviceId: state.deviceId, identitySeed, identityKey }, i))
  }
  return {
    devices: clients,
    async run(url, stop) {
      const agent = new Agent({ keepAlive: true })
      try {
        await Promise.all(clients.map((client) => client.run({ url, agent }, stop)))
      } finally {
        agent.destroy()
      }
    },
  }
}

type Client = ReturnType<typeof createClient>

function createClient(
  ledger: Ledger,
  { adminToken, onAnswer }: { adminToken: string; onAnswer: (status: number) => void },
  device: LoadDevice,
  number: number,
) {
  const names: { name: string; isAcknowledged: boolean }[] = []
  const openTokens: string[] = []
  let server: { url: string; agent: Agent }
  let certificate: BucketCertificate | undefined

  /** One change: what its answer says is what the ledger holds it to. */
  async function change(
    kind: ChangeKind,
    order: { method: string; path: string; body?: unknown; count?: number; isPublic?: boolean },
    subjectsOf: (body: Reply['body']) => string[],
  ): Promise<Reply> {
    const requestId = newId()
    const attempt: Attempt = { requestId, kind, count: order.count ?? 1, outcome: undefined, subjects: undefined }
    ledger.add(attempt)
    const reply = await sendRequest(server, {
      ...order,
      headers: { 'x-request-id': requestId, ...(order.isPublic ? {} : { authorization: `Bearer ${adminToken}` }) },
    })
    onAnswer(reply.status)
    if (reply.status >= 200 && reply.status < 300) {
      attempt.outcome = 'acknowledged'
      attempt.subjects = subjectsOf(reply.body)
    } else if (reply.status >= 400 && reply.status < 500) {
      attempt.outcome = 'refused'
      throw new Error(`${order.path} was refused: ${JSON.stringify(reply.body)}`)
    } else await sleep(PAUSE_MS)
    return reply
  }

  async function createToken(): Promise<void> {
    const order = { method: 'POST', path: '/v1/enrollment-tokens', body: { kind: 'device' } }
    const { body } = await change('token', order, ({ id }) => [String(id)])
    if (typeof body['id'] === 'string') openTokens.push(body['id'])
  }

  async function createTokens(): Promise<void> {
    const count = 1 + Math.floor(Math.random() * 60)
    const body = { items: Array.from({ length: count }, () => ({ kind: 'device' })) }
    const order = { method: 'POST', path: '/v1/enrollment-tokens/bulk', body, count }
    await change('token', order, ({ items }) => (items as { id: string }[]).map(({ id }) => id))
  }

  async function revokeToken(): Promise<void> {
    const id = openTokens.shift()
    if (id === undefined) return createToken()
    await change('revocation', { method: 'DELETE', path: `/v1/enrollment-tokens/${id}` }, () => [id])
  }

  async function changeDevice(): Promise<void> {
    const name = `client ${number} as ${names.length}`
    const entry = { name, isAcknowledged: false }
    names.push(entry)
    const body = { name, metadata: { name } }
    const order = { method: 'PATCH', path: `/v1/devices/${device.deviceId}`, body }
    const { status } = await change('change', order, () => [`${device.deviceId} ${name}`])
    entry.isAcknowledged = status === 200
  }

  async function exchange(): Promise<void> {
    if (certificate === undefined || Date.now() >= certificate.notAfter) {
      const { status, body } = await sendRequest(server, { method: 'GET', path: '/v1/buckets' })
      if (status !== 200) return sleep(PAUSE_MS)
      certificate = bucketsAnswer.parse(body).certificates[0]
    }
    if (certificate === undefined) throw new Error('there is no certificate')
    const initiated = initiateExchange(crypto, device, certificate)
    const body = z.encode(exchangeRequest, initiated.request)
    const order = { method: 'POST', path: '/v1/exchanges', body, isPublic: true }
    const answer = await change('exchange', order, ({ sessionId }) => [String(sessionId)])
    if (answer.status !== 201) return
    const { sessionId, deviceConfirmation } = acceptAnswer(crypto, initiated, exchangeAnswer.parse(answer.body))
    const confirmation = { deviceId: device.deviceId, confirmation: toBase64url(deviceConfirmation) }
    const path = `/v1/exchanges/${sessionId}/confirm`
    await change('confirmation', { method: 'POST', path, body: confirmation, isPublic: true }, () => [sessionId])
  }

  const work = [createToken, createToken, createTokens, revokeToken, changeDevice, changeDevice, exchange]
  return {
    deviceId: device.deviceId,
    names,
    async run(at: { url: string; agent: Agent }, stop: AbortSignal): Promise<void> {
      server = at
      while (!stop.aborted) await (work[Math.floor(Math.random() * work.length)] as () => Promise<void>)()
    },
  }
}
