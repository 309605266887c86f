import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { newId } from '../../runtime/ids.ts'
import type { ErrorCode } from '../../server/errors.ts'
import {
  type Answer,
  call,
  confirm,
  createToken,
  enrollTestDevice,
  establish,
  flipBit,
  initiate,
  makeIdentity,
  openExchange,
  sendExchange,
  signCompletion,
  startEnrollment,
  type TestDevice,
} from '../support/api.ts'
import { databaseContents } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** Of each refusal of a state, a time or a right: what is in the database afterwards that was not there before. */

let service: TestService
let device: TestDevice

beforeAll(async () => {
  service = await startTestService()
  device = await enrollTestDevice(service)
})
afterAll(() => service.close())

interface Trace {
  /** Tables whose contents differ. */
  changed: string[]
  /** Events that were written, by type and code. */
  events: string[]
}
const nothing: Trace = { changed: [], events: [] }

async function traceOf(ask: () => Promise<Answer>): Promise<{ answer: Answer; trace: Trace }> {
  const before = { contents: await databaseContents(service), events: await listEvents() }
  const answer = await ask()
  const after = await databaseContents(service)
  const changed = Object.keys(after).filter((table) => after[table] !== before.contents[table])
  return { answer, trace: { changed: changed.toSorted(), events: (await listEvents()).slice(before.events.length) } }
}

async function listEvents(): Promise<string[]> {
  const { rows } = await service.database.sql.query<{ event: string }>(
    `select concat_ws(' ', entry::jsonb ->> 'type', entry::jsonb -> 'data' ->> 'code') as event from audit_outbox order by seq`,
  )
  return rows.map(({ event }) => event)
}

async function expectTrace(ask: () => Promise<Answer>, status: number, code: ErrorCode, expected: Trace) {
  const { answer, trace } = await traceOf(ask)
  expect({ status: answer.status, code: answer.body.code, ...trace }).toEqual({ status, code, ...expected })
  return answer
}

const admin = (method: string, path: string, body?: unknown) =>
  call(service, method, path, { token: service.adminToken, body })

describe('nothing is stored by', () => {
  test('an exchange in a bucket that is not open, which is told the time', async () => {
    const { wire } = await initiate(service, device)
    for (const bucket of [(wire.bucket as number) - 2, (wire.bucket as number) + 2, 0]) {
      const ask = () => sendExchange(service, { ...wire, bucket })
      const answer = await expectTrace(ask, 409, 'bucket_out_of_window', nothing)
      expect(answer.body.now).toBe(service.time.now)
    }
  })

  test('a renewal for an epoch that is not open, which is told the time', async () => {
    const { sessionId } = await establish(service, device)
    const epoch = Math.floor(service.time.now / BUCKET_MS) + 3
    const body = {
      deviceId: device.deviceId,
      epoch,
      nonce: toBase64url(new Uint8Array(32)),
      proof: toBase64url(new Uint8Array(64)),
    }
    const ask = () => call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })
    expect((await expectTrace(ask, 409, 'bucket_out_of_window', nothing)).body.now).toBe(service.time.now)
  })

  test('a message that was taken before', async () => {
    const { wire } = await initiate(service, device)
    expect((await sendExchange(service, wire)).status).toBe(201)
    await expectTrace(() => sendExchange(service, wire), 409, 'replayed', nothing)
  })

  test('an exchange that is refused', async () => {
    const { wire } = await initiate(service, device)
    const forged = { ...wire, signature: flipBit(wire.signature as string) }
    await expectTrace(() => sendExchange(service, forged), 401, 'exchange_refused', nothing)
    await expectTrace(() => sendExchange(service, { ...wire, deviceId: newId() }), 401, 'exchange_refused', nothing)
  })

  test('a confirmation of a session that is over, or that nobody has', async () => {
    const own = await enrollTestDevice(service)
    const opened = await openExchange(service, own)
    await admin('DELETE', `/v1/sessions/${opened.sessionId}`)
    await expectTrace(() => confirm(service, own, opened), 409, 'session_state', nothing)
    await expectTrace(() => confirm(service, own, { ...opened, sessionId: newId() }), 404, 'not_found', nothing)
    await expectTrace(() => confirm(service, device, opened), 404, 'not_found', nothing)
  })

  test('a renewal with a proof that is not right', async () => {
    const { sessionId } = await establish(service, device)
    const epoch = Math.floor(service.time.now / BUCKET_MS)
    const body = {
      deviceId: device.deviceId,
      epoch,
      nonce: toBase64url(new Uint8Array(32)),
      proof: toBase64url(new Uint8Array(64)),
    }
    const ask = () => call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })
    await expectTrace(ask, 401, 'unauthenticated', nothing)
  })

  test('the end of what has ended: a session, a token that is used', async () => {
    const own = await enrollTestDevice(service)
    const { sessionId } = await openExchange(service, own)
    expect((await admin('DELETE', `/v1/sessions/${sessionId}`)).status).toBe(204)
    await expectTrace(() => admin('DELETE', `/v1/sessions/${sessionId}`), 409, 'session_state', nothing)
    const token = await createToken(service)
    const started = await startEnrollment(service, token.credential)
    const body = signCompletion(started, makeIdentity().identityKey)
    await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
    await expectTrace(() => admin('DELETE', `/v1/enrollment-tokens/${token.id}`), 409, 'session_state', nothing)
  })

  test('a caller without a token, or with a wrong one', async () => {
    const create = (token?: string) =>
      call(service, 'POST', '/v1/enrollment-tokens', { token, body: { kind: 'device' } })
    await expectTrace(() => create(), 401, 'unauthenticated', nothing)
    await expectTrace(() => create(`${service.adminToken.slice(0, -4)}AAAA`), 401, 'unauthenticated', nothing)
  })

  test('an enrolment token that nobody has', async () => {
    const body = { token: `${newId()}.${toBase64url(new Uint8Array(32))}` }
    await expectTrace(() => call(service, 'POST', '/v1/enrollments', { body }), 401, 'enrollment_refused', nothing)
  })

  test('a completion under a challenge that is over', async () => {
    const started = await startEnrollment(service, (await createToken(service)).credential)
    const body = signCompletion(started, makeIdentity().identityKey)
    service.time.now += 5 * 60_000
    await service.tick()
    const ask = () => call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
    await expectTrace(ask, 409, 'challenge_expired', nothing)
  })
})

describe('the refusal and its event are stored, and nothing more, by', () => {
  /** A challenge, and how its completion is answered when it is changed. */
  async function complete(
    wish: Parameters<typeof signCompletion>[2],
    change: Record<string, string> = {},
    key = makeIdentity(),
  ) {
    const { credential } = await createToken(service)
    const started = await startEnrollment(service, credential)
    const body = { ...signCompletion(started, key.identityKey, wish), ...change }
    return () => call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  }
  const refused = (reason: ErrorCode, what = 'refused'): Trace => ({
    changed: ['audit_outbox', 'challenge'],
    events: [`enrollment.${what} ${reason}`],
  })

  test('an enrolment for another kind, under another bundle, with a key that is enrolled', async () => {
    await expectTrace(await complete({ kind: 'coordinator' }), 403, 'kind_mismatch', refused('kind_mismatch'))
    const forged = await complete({}, { name: 'other than what was signed' })
    await expectTrace(forged, 409, 'trust_mismatch', refused('trust_mismatch', 'mismatched'))
    const taken = await complete({}, {}, device)
    await expectTrace(taken, 400, 'key_invalid', refused('key_invalid'))
  })

  test('a wrong confirmation, which ends the session', async () => {
    const own = await enrollTestDevice(service)
    const opened = await openExchange(service, own)
    const wrong = { ...opened, deviceConfirmation: new Uint8Array(64) }
    const expected = { changed: ['audit_outbox', 'principal', 'session'], events: ['session.failed'] }
    await expectTrace(() => confirm(service, own, wrong), 401, 'confirmation_refused', expected)
    await expectTrace(() => confirm(service, own, opened), 409, 'session_state', nothing)
  })

  test('a confirmation that comes too late', async () => {
    const own = await enrollTestDevice(service)
    const opened = await openExchange(service, own)
    service.time.now += 10 * 60_000
    await service.tick()
    const expected = { changed: ['audit_outbox', 'principal', 'session'], events: ['session.timed_out'] }
    await expectTrace(() => confirm(service, own, opened), 409, 'session_state', expected)
    await expectTrace(() => confirm(service, own, opened), 409, 'session_state', nothing)
  })
})
