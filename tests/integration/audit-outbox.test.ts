import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { tokenProof } from '../../protocol/exchange/epochs.ts'
import { PENDING_MS } from '../../protocol/exchange/session-states.ts'
import { createLogger } from '../../runtime/logger.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import {
  call,
  confirm,
  createToken,
  enrollTestDevice,
  establish,
  initiate,
  makeIdentity,
  openExchange,
  sendExchange,
  signCompletion,
  startEnrollment,
} from '../support/api.ts'
import { listAttestationChanges } from '../support/attestation-changes.ts'
import { completeRotation, signRotation, startRotation } from '../support/identity-rotation.ts'
import { listIncidentChanges } from '../support/incident-changes.ts'
import { listInputChanges } from '../support/input-changes.ts'
import { awaitSigned } from '../support/offline-root.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { type Ask, type Change, listRoundChanges } from '../support/round-changes.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

/** No event, no change: whatever a request would have changed, when its event cannot be stored it is as if it had not come. */

const ways = [
  ['revoke insert on audit_outbox from qflare_api', 'grant insert on audit_outbox to qflare_api'],
  ['alter table audit_outbox enable trigger refuse', 'alter table audit_outbox disable trigger refuse'],
] as const
const events = 'The audit log takes no event; nothing was changed.'

let service: TestService
const lines: Record<string, unknown>[] = []

beforeAll(async () => {
  const write = (line: string, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(line))
    done()
  }
  service = await startTestService({ logger: createLogger('warn', new Writable({ decodeStrings: false, write })) })
  await service.database.sql.query(`
    create function refuse() returns trigger language plpgsql as $$ begin raise 'of no table that is named'; end $$;
    create trigger refuse before insert on audit_outbox for each row execute function refuse();
    alter table audit_outbox disable trigger refuse`)
})
afterAll(() => service.close())

const asAdmin = (method: string, path: string, body?: unknown, token = service.adminToken) =>
  call(service, method, path, { token, body })

/** A step with a device that nobody but the database made so. */
const ofDeviceThatIs = (set: string, action: string) => async () => {
  const { deviceId } = await enrollTestDevice(service)
  await service.database.sql.query(`update principal set ${set} where id = $1`, [deviceId])
  return () => asAdmin('POST', `/v1/devices/${deviceId}/${action}`, {})
}
const ofDevice = (action: string, before?: string) => async (): Promise<Ask> => {
  const path = `/v1/devices/${(await enrollTestDevice(service)).deviceId}`
  if (before !== undefined) await asAdmin('POST', `${path}/${before}`, {})
  return () => asAdmin('POST', `${path}/${action}`, {})
}

function completion(wish: Parameters<typeof signCompletion>[2] = {}, changed: Record<string, string> = {}) {
  return async (): Promise<Ask> => {
    const started = await startEnrollment(service, (await createToken(service)).credential)
    const body = { ...signCompletion(started, makeIdentity().identityKey, wish), ...changed }
    return () => call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  }
}

function rotation(wish: Parameters<typeof signRotation>[3] = {}) {
  return async (): Promise<Ask> => {
    const device = await enrollTestDevice(service)
    const started = await startRotation(service, device)
    const body = signRotation(device, started, makeIdentity().identityKey, wish)
    return () => completeRotation(service, device.deviceId, started.challengeId, body)
  }
}

/** `pending`: sessions that the device has opened before. */
function exchange(pending: number) {
  return async (): Promise<Ask> => {
    const device = await enrollTestDevice(service)
    for (let i = 0; i < pending; i++) await openExchange(service, device)
    const { wire } = await initiate(service, device)
    return () => sendExchange(service, wire)
  }
}

function confirmation(change: { isWrong?: boolean; lateMs?: number } = {}) {
  return async (): Promise<Ask> => {
    const device = await enrollTestDevice(service)
    await establish(service, device)
    await openExchange(service, device)
    const opened = await openExchange(service, device)
    service.time.now += change.lateMs ?? 0
    await service.tick()
    const wrong = { ...opened, deviceConfirmation: new Uint8Array(64) }
    return () => confirm(service, device, change.isWrong === true ? wrong : opened)
  }
}

/** By route, and where one has several kinds of change, by what is asked. */
const changes: Record<string, Change> = {
  ...listAttestationChanges(() => service),
  ...listIncidentChanges(() => service),
  ...listInputChanges(() => service),
  ...listRoundChanges(() => service),
  'POST /v1/organizations': {
    prepare: async () => () => asAdmin('POST', '/v1/organizations', { name: 'one more' }),
    status: 201,
  },
  'POST /v1/jobs/:name/run': { prepare: async () => () => asAdmin('POST', '/v1/jobs/idle/run', {}), status: 202 },
  'POST /v1/jobs/failed/:run/retry': {
    prepare: async () => () => asAdmin('POST', '/v1/jobs/failed/long:1/retry', {}),
    status: 202,
  },
  'POST /v1/trust': {
    async prepare() {
      const bundle = await awaitSigned(service)
      return () => asAdmin('POST', '/v1/trust', bundle)
    },
    status: 200,
  },
  'POST /v1/api-tokens': {
    prepare: async () => () => asAdmin('POST', '/v1/api-tokens', { name: 'one more', roles: ['auditor'] }),
    status: 201,
  },
  'DELETE /v1/api-tokens/:id': {
    async prepare() {
      const { id } = await makeApiToken(service, ['auditor'])
      return () => asAdmin('DELETE', `/v1/api-tokens/${id}`)
    },
    status: 204,
  },
  'POST /v1/enrollment-tokens': {
    prepare: async () => () => asAdmin('POST', '/v1/enrollment-tokens', { kind: 'device' }),
    status: 201,
  },
  'POST /v1/enrollment-tokens/bulk': {
    prepare: async () => () =>
      asAdmin('POST', '/v1/enrollment-tokens/bulk', { items: [{ kind: 'device' }, { kind: 'device' }] }),
    status: 201,
  },
  'DELETE /v1/enrollment-tokens/:id': {
    async prepare() {
      const { id } = await createToken(service)
      return () => asAdmin('DELETE', `/v1/enrollment-tokens/${id}`)
    },
    status: 204,
  },
  'POST /v1/enrollments': {
    async prepare() {
      const { credential } = await createToken(service)
      return () => call(service, 'POST', '/v1/enrollments', { body: { token: credential } })
    },
    status: 201,
  },
  'POST /v1/enrollments/:id/complete': { prepare: completion(), status: 201 },
  'POST /v1/enrollments/:id/complete for another kind': { prepare: completion({ kind: 'coordinator' }), status: 403 },
  'POST /v1/enrollments/:id/complete signed over something else': {
    prepare: completion({}, { name: 'other than what was signed' }),
    status: 409,
  },
  'PATCH /v1/devices/:id': {
    async prepare() {
      const { deviceId } = await enrollTestDevice(service)
      return () => asAdmin('PATCH', `/v1/devices/${deviceId}`, { name: 'changed', metadata: { changed: true } })
    },
    status: 200,
  },
  'POST /v1/devices/:id/suspend': { prepare: ofDevice('suspend'), status: 200 },
  'POST /v1/devices/:id/resume': { prepare: ofDevice('resume', 'suspend'), status: 200 },
  'POST /v1/devices/:id/clear-quarantine': {
    prepare: ofDeviceThatIs(`status = 'QUARANTINED'`, 'clear-quarantine'),
    status: 200,
  },
  'POST /v1/devices/:id/lift-restrictions': {
    prepare: ofDeviceThatIs('attestation_required_since = now()', 'lift-restrictions'),
    status: 200,
  },
  'POST /v1/devices/:id/revoke': { prepare: ofDevice('revoke'), status: 200 },
  'POST /v1/devices/:id/rotate-identity': {
    async prepare() {
      const device = await enrollTestDevice(service)
      const { accessToken } = await establish(service, device)
      return () => asAdmin('POST', `/v1/devices/${device.deviceId}/rotate-identity`, {}, accessToken)
    },
    status: 201,
  },
  'POST /v1/devices/:id/rotate-identity/:challengeId': { prepare: rotation(), status: 200 },
  'POST /v1/devices/:id/rotate-identity/:challengeId with evidence of another format': {
    prepare: rotation({ evidence: [{ format: 'tpm2' }] }),
    status: 400,
  },
  'POST /v1/devices/:id/rotate-identity/:challengeId by a stranger': {
    prepare: rotation({ oldSigner: makeIdentity().identityKey }),
    status: 401,
  },
  'POST /v1/exchanges': { prepare: exchange(0), status: 201 },
  'POST /v1/exchanges in the place of an older one': { prepare: exchange(2), status: 201 },
  'POST /v1/exchanges/:id/confirm': { prepare: confirmation(), status: 200 },
  'POST /v1/exchanges/:id/confirm that is wrong': { prepare: confirmation({ isWrong: true }), status: 401 },
  'POST /v1/exchanges/:id/confirm that is late': {
    prepare: confirmation({ lateMs: PENDING_MS + 1 }),
    status: 409,
  },
  'POST /v1/sessions/:id/tokens': {
    async prepare() {
      const { deviceId, ...device } = await enrollTestDevice(service)
      const { sessionId, epoch, chain } = await establish(service, { deviceId, ...device })
      const nonce = crypto.randomBytes(32)
      const proof = toBase64url(tokenProof(crypto, chain, { sessionId, epoch, nonce }))
      const body = { deviceId, epoch, nonce: toBase64url(nonce), proof }
      return () => call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body })
    },
    status: 201,
  },
  'DELETE /v1/sessions/:id': {
    async prepare() {
      const { sessionId, accessToken } = await establish(service, await enrollTestDevice(service))
      return () => asAdmin('DELETE', `/v1/sessions/${sessionId}`, undefined, accessToken)
    },
    status: 204,
  },
}

test('every route that changes something is in the list here', () => {
  const parts = { crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts
  const routes = listRoutes(parts).filter(({ method }) => method !== 'get')
  const listed = new Set(Object.keys(changes).map((name) => name.split(' ').slice(0, 2).join(' ')))
  expect([...listed].toSorted()).toEqual(routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`).toSorted())
})

describe('an event that cannot be stored', () => {
  const sql = (text: string) => service.database.sql.query(text)

  async function expectNothing(ask: Ask): Promise<void> {
    for (const [forbid, allow] of ways) {
      const contents = await databaseContents(service)
      await sql(forbid)
      try {
        const answer = await ask()
        expectRefusal(answer, 503, 'unavailable')
        expect(answer.body.detail, forbid).toBe(events)
        expect(await databaseContents(service), forbid).toEqual(contents)
      } finally {
        await sql(allow)
      }
    }
  }

  test.each(Object.entries(changes))('%s: is answered 503, and the same again is good', async (_what, change) => {
    const ask = await change.prepare()
    await expectNothing(ask)
    const before = await databaseContents(service)
    expect((await ask()).status).toBe(change.status)
    expect((await databaseContents(service)).audit_outbox).not.toBe(before.audit_outbox)
  })

  test('keeps what is forbidden from being refused without a trace', async () => {
    const { token } = await makeApiToken(service, ['auditor'])
    await expectNothing(() => asAdmin('GET', '/v1/api-tokens', undefined, token))
    await expectNothing(() => asAdmin('POST', '/v1/organizations', { name: 'x' }, token))
  })

  test('is in the log as an error, with the reason that the answer does not tell', async () => {
    lines.length = 0
    await expectNothing(await exchange(0)())
    expect(lines).toMatchObject([
      { level: 50, code: 'unavailable', error: { message: 'permission denied for table audit_outbox' } },
      { level: 50, code: 'unavailable', error: { message: 'of no table that is named' } },
    ])
  })

  test('lets no temporal key be made or be said to be destroyed', async () => {
    await sql('alter table audit_outbox enable trigger refuse')
    const contents = await databaseContents(service)
    service.time.now += BUCKET_MS + GRACE_MS
    try {
      await expect(service.tick()).rejects.toMatchObject({ code: 'event_refused' })
      expect(await databaseContents(service)).toEqual(contents)
    } finally {
      await sql('alter table audit_outbox disable trigger refuse')
    }
    await service.tick()
    const { rows } = await sql('select count(*)::int as count from temporal_key where destroyed_at is not null')
    expect(rows[0].count).toBeGreaterThan(0)
    expect((await call(service, 'GET', '/v1/buckets')).status).toBe(200)
  })
})
