import fc from 'fast-check'
import { expect } from 'vitest'
import { z } from 'zod'
import type { Json } from '../../protocol/encoding.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { bucketAt, isBucketAccepted } from '../../protocol/exchange/bucket.ts'
import { ratchet, tokenProof } from '../../protocol/exchange/epochs.ts'
import { acceptAnswer, type EstablishedExchange, initiateExchange } from '../../protocol/exchange/initiate.ts'
import {
  type BucketCertificate,
  bucketsAnswer,
  exchangeAnswer,
  exchangeRequest,
} from '../../protocol/exchange/messages.ts'
import { initiateHash, sessionIdOf } from '../../protocol/exchange/transcript.ts'
import { type Answer, call, type TestDevice } from './api.ts'
import { crypto } from './service.ts'
import { type DeviceStatus, type ModelSession, type Outcome, type SessionModel } from './session-model.ts'

/** What a device keeps of a session: its messages, to send them again. */
interface KeptSession {
  wire: Record<string, Json>
  opened?: EstablishedExchange
  /** Of its confirmation or newest renewal. */
  accessToken?: string
  renewal?: { epoch: number; body: object }
}

/** The service under test, and the device that uses it. */
export interface SessionWorld {
  device: TestDevice
  adminToken: string
  /** Of the API process that is asked now; `goElsewhere` changes it. */
  url: string
  goElsewhere(): void
  /** Moves the clock and runs the schedule of keys. */
  passTime(ms: number): Promise<void>
  endInTime(): Promise<void>
  prune(): Promise<void>
  /** Compares what is stored, and what was written since the last look. */
  check(model: SessionModel): Promise<void>
  /** By session. */
  kept: Map<string, KeptSession>
  certificates: BucketCertificate[]
}

export const PRUNE_AFTER_MS = 86_400_000

type SessionCommand = fc.AsyncCommand<SessionModel, SessionWorld>

/** One line in the output of a failure; `run` gives what the service answered and what the model wants. */
class Step implements SessionCommand {
  readonly #name: string
  readonly #run: (model: SessionModel, world: SessionWorld) => Promise<void>

  constructor(name: string, run: (model: SessionModel, world: SessionWorld) => Promise<void>) {
    this.#name = name
    this.#run = run
  }

  check(): boolean {
    return true
  }

  async run(model: SessionModel, world: SessionWorld): Promise<void> {
    model.events = []
    await this.#run(model, world)
    await world.check(model)
  }

  toString(): string {
    return this.#name
  }
}

/** A command about one of the sessions, if there is any. */
function ofSession(
  name: string,
  run: (model: SessionModel, world: SessionWorld, session: ModelSession, kept: KeptSession) => Promise<void>,
) {
  return fc.nat(7).map(
    (place) =>
      new Step(`${name}(${place})`, async (model, world) => {
        const session = model.sessions.at(-1 - (place % Math.max(1, model.sessions.length)))
        const kept = world.kept.get(session?.id ?? '')
        if (session !== undefined && kept !== undefined) await run(model, world, session, kept)
      }),
  )
}

function expectOutcome(answer: Answer, expected: Outcome): void {
  expect(answer.status < 400 ? answer.status : answer.body.code).toBe(expected)
}

export const exchangeStep = (place: number) =>
  new Step(`exchange(${place})`, async (model, world) => {
    const { body } = await call(world, 'GET', '/v1/buckets')
    world.certificates = [...world.certificates.slice(-1), ...bucketsAnswer.parse(body).certificates]
    const fresh = world.certificates.filter(({ bucket }) => isBucketAccepted(bucket, model.now))
    const certificate = fresh[place % fresh.length] ?? (world.certificates[0] as BucketCertificate)
    const initiated = initiateExchange(crypto, world.device, certificate)
    const wire = z.encode(exchangeRequest, initiated.request) as Record<string, Json>
    const id = sessionIdOf(certificate.bucket, initiateHash(crypto, initiated.request, certificate))
    const answer = await call(world, 'POST', '/v1/exchanges', { body: wire })
    expectOutcome(answer, model.open(id, certificate.bucket))
    if (answer.status === 201) {
      world.kept.set(id, { wire, opened: acceptAnswer(crypto, initiated, exchangeAnswer.parse(answer.body)) })
    }
  })
const exchange = fc.nat(2).map(exchangeStep)

const exchangeAgain = ofSession('exchange again', async (model, world, session, { wire }) => {
  const answer = await call(world, 'POST', '/v1/exchanges', { body: wire })
  // A session that was pruned is long out of its bucket's window.
  expectOutcome(answer, model.open(session.id, session.bucket))
})

function confirmation(isRight: boolean) {
  return ofSession(isRight ? 'confirm' : 'confirm wrongly', async (model, world, session, kept) => {
    const right = kept.opened?.deviceConfirmation ?? new Uint8Array(64)
    const body = { deviceId: world.device.deviceId, confirmation: toBase64url(isRight ? right : new Uint8Array(64)) }
    const before = session.confirmedAt
    const answer = await call(world, 'POST', `/v1/exchanges/${session.id}/confirm`, { body })
    expectOutcome(answer, model.confirm(session, isRight))
    if (answer.status !== 200) return
    if (before === undefined) kept.accessToken = answer.body.accessToken
    // The token of the confirmation itself, whatever was renewed since.
    expect(answer.body.accessTokenExpiresAt).toBe(Math.min((session.confirmedAt ?? 0) + 300_000, session.expiresAt))
  })
}

const renewal = fc.tuple(fc.nat(7), fc.constantFrom(-1, 0, 0, 0, 1)).map(
  ([place, ahead]) =>
    new Step(`renew(${place}, ${ahead})`, async (model, world) => {
      const session = model.sessions.at(-1 - (place % Math.max(1, model.sessions.length)))
      const kept = world.kept.get(session?.id ?? '')
      if (session === undefined || kept?.opened === undefined) return
      const epoch = Math.max(session.bucket, bucketAt(model.now)) + ahead
      const nonce = crypto.randomBytes(32)
      let chain = kept.opened.chain
      for (let at = kept.opened.epoch; at < epoch && at < session.bucket + 20; at++) chain = ratchet(crypto, chain, at)
      const proof = tokenProof(crypto, chain, { sessionId: session.id, epoch, nonce })
      const body = { deviceId: world.device.deviceId, epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
      const answer = await call(world, 'POST', `/v1/sessions/${session.id}/tokens`, { body })
      expectOutcome(answer, model.renew(session, epoch, false))
      if (answer.status === 201) Object.assign(kept, { accessToken: answer.body.accessToken, renewal: { epoch, body } })
    }),
)

const renewalAgain = ofSession('renew again', async (model, world, session, { renewal }) => {
  if (renewal === undefined) return
  const answer = await call(world, 'POST', `/v1/sessions/${session.id}/tokens`, { body: renewal.body })
  expectOutcome(answer, model.renew(session, renewal.epoch, true))
})

const use = ofSession('use the token', async (model, world, session, { accessToken }) => {
  if (accessToken === undefined) return
  const { status } = await call(world, 'GET', `/v1/sessions/${session.id}`, { token: accessToken })
  expect(status).toBe(model.isTokenTaken(session) ? 200 : 401)
})

const look = ofSession('look', async (_model, world, session) => {
  const answer = await call(world, 'GET', `/v1/sessions/${session.id}`, { token: world.adminToken })
  if (session.isPruned) expectOutcome(answer, 'not_found')
  else expect(answer.body).toMatchObject({ id: session.id, state: session.state })
})

const end = ofSession('end', async (model, world, session) => {
  const answer = await call(world, 'DELETE', `/v1/sessions/${session.id}`, { token: world.adminToken })
  expectOutcome(answer, model.endByOperator(session))
})

const steps: Record<string, DeviceStatus> = { suspend: 'SUSPENDED', resume: 'ACTIVE', revoke: 'REVOKED' }
const status = (name: string) =>
  fc.constant(
    new Step(name, async (model, world) => {
      const path = `/v1/devices/${world.device.deviceId}/${name}`
      const answer = await call(world, 'POST', path, { token: world.adminToken, body: {} })
      expectOutcome(answer, model.changeStatus(steps[name] as DeviceStatus))
    }),
  )

/** Milliseconds: around each time of the protocol. The shorter ones twice. */
const times = [1, 29_999, 59_999, 60_000, 60_001, 240_000, 299_999, 300_000, 1_800_000, 3_540_001, 3_600_000]
export const passStep = (ms: number) =>
  new Step(`pass ${ms} ms`, async (model, world) => {
    await world.passTime(ms)
    model.passTime(ms)
  })
const passing = fc.constantFrom(...times, ...times.slice(0, 8)).map(passStep)

const ending = fc.constant(
  new Step('end in time', async (model, world) => {
    await world.endInTime()
    model.endInTime()
  }),
)

const pruning = fc.constantFrom(0, 3 * PRUNE_AFTER_MS).map(
  (ms) =>
    new Step(`prune after ${ms} ms`, async (model, world) => {
      await world.passTime(ms)
      await world.endInTime()
      await world.prune()
      model.passTime(ms)
      model.endInTime()
      model.prune(PRUNE_AFTER_MS)
    }),
)

const elsewhere = fc.constant(new Step('ask another process', async (_model, world) => world.goElsewhere()))

/** Commands for `fc.asyncModelRun`; the first of a list are as likely as the others, so that the usual ones stand more than once. */
export const sessionCommands = fc.commands(
  [
    ...Array.from({ length: 4 }, () => exchange),
    ...Array.from({ length: 4 }, () => confirmation(true)),
    ...Array.from({ length: 3 }, () => passing),
    ...Array.from({ length: 2 }, () => renewal),
    confirmation(false),
    exchangeAgain,
    renewalAgain,
    use,
    look,
    end,
    status('suspend'),
    status('resume'),
    status('resume'),
    status('revoke'),
    ending,
    pruning,
    elsewhere,
  ],
  { maxCommands: 24, size: '+1' },
)
