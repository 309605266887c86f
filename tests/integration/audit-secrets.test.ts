import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { recoverAdminToken } from '../../operations/recover-admin-token.ts'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { communicationKey, keyPurposes, ratchet, tokenProof } from '../../protocol/exchange/epochs.ts'
import type { EstablishedExchange } from '../../protocol/exchange/initiate.ts'
import { SESSION_MS, SUPERSEDED_MS } from '../../protocol/exchange/session-states.ts'
import { auditEventTypes } from '../../protocol/log/audit-event-types.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { destroyUnknownRecords } from '../../workers/jobs/destroy-unknown-records.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { flagOldIdentityKeys } from '../../workers/jobs/flag-old-identity-keys.ts'
import { pruneSessions } from '../../workers/jobs/prune-sessions.ts'
import { tellEndingApiTokens } from '../../workers/jobs/tell-ending-api-tokens.ts'
import {
  type Answer,
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
  type TestDevice,
} from '../support/api.ts'
import { attestEverything } from '../support/attest-everything.ts'
import { eventsOfElsewhere } from '../support/audit.ts'
import { endByRetention } from '../support/end-by-retention.ts'
import { createSecretSearch, readWholeLog, type Secret } from '../support/find-secrets.ts'
import { completeRotation, rotate, signRotation, startRotation } from '../support/identity-rotation.ts'
import { rotateEverything } from '../support/rotate-everything.ts'
import { runRounds } from '../support/run-rounds.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { listServiceSecrets, recordWireSecrets } from '../support/service-secrets.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'
import { watchEverything } from '../support/watch-everything.ts'

/** A service that does everything it can, and then every row of its log is searched for what must not be in there. */

const address = '203.0.113.77'
const headers = { 'x-forwarded-for': address, 'user-agent': 'canary-agent/77' }
const rootKey = crypto.randomBytes(32)
const secrets: Secret[] = [
  { what: 'address of the client', value: address },
  { what: 'network of the client', value: '203.0.113.0' },
  { what: 'address of the proxy', value: '127.0.0.1' },
  { what: 'user agent', value: headers['user-agent'] },
]
let service: TestService
let log: string[]

beforeAll(async () => {
  vi.stubGlobal('fetch', recordWireSecrets(fetch, secrets, headers))
  service = await startTestService({
    rootKey,
    trustProxy: ['127.0.0.1'],
    limits: { addressRefused: 3 },
    tellsRefusals: true,
  })
  await runEverything()
  log = await readWholeLog(service.database.sql)
})
afterAll(async () => {
  vi.unstubAllGlobals()
  await service.close()
})

const secret = (what: string, bytes = 32) => {
  const value = crypto.randomBytes(bytes)
  secrets.push({ what, value })
  return value
}
const asAdmin = async (status: number, method: string, path: string, body?: unknown, token = service.adminToken) =>
  expectStatus(status, await call(service, method, path, { token, body }))

function expectStatus(status: number, answer: Answer): Answer {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  return answer
}

async function runEverything(): Promise<void> {
  await service.tick()
  secrets.push(...(await listServiceSecrets(service, rootKey)))
  const enrolled = await enrolAndChange()
  await exchangeAndRenew(enrolled)
  for (const party of await runRounds(service, secrets)) keepSession(party)
  await attestEverything(service)
  secrets.push({ what: 'secret of notices', value: await watchEverything(service) })
  const device = await rotateIdentity(enrolled)
  await refuseEnrolments(device)
  await refuseAccess()
  await endEverything(device)
  await askForJobs()
  await recover()
  await rotateEverything(service, rootKey)
  await destroyKeys()
  await endSessionsByTime()
  await endByRetention(service)
  await tellRefusals()
}

/** The time of the service has passed on to another minute. */
async function tellRefusals(): Promise<void> {
  const types = ['exchange.refused', 'api_token.refused', 'enrollment_token.refused', 'access.elsewhere']
  await vi.waitFor(async () => {
    const written = (await readWholeLog(service.database.sql)).join()
    for (const type of types) expect(written).toContain(`"${type}"`)
  })
}

async function enrolAndChange(): Promise<TestDevice> {
  const started = await startEnrollment(service, (await createToken(service)).credential)
  const identity = makeIdentity()
  const metadata = { note: toBase64url(secret('metadata of the enrolment')) }
  const body = { ...signCompletion(started, identity.identityKey), metadata }
  const path = `/v1/enrollments/${started.enrollmentId}/complete`
  const { deviceId } = expectStatus(201, await call(service, 'POST', path, { body })).body
  secrets.push({ what: 'identity seed', value: identity.identitySeed })
  await asAdmin(200, 'PATCH', `/v1/devices/${deviceId}`, {
    name: 'renamed',
    type: 'camera',
    capabilities: ['cuda'],
    metadata: { note: toBase64url(secret('metadata of an operator')) },
  })
  return { deviceId, ...identity }
}

function keepSession({ sessionId, epoch, chain, deviceConfirmation }: EstablishedExchange): void {
  const next = ratchet(crypto, chain, epoch)
  secrets.push({ what: 'chain', value: chain }, { what: 'next chain', value: next })
  secrets.push({ what: 'confirmation', value: deviceConfirmation })
  for (const purpose of keyPurposes) {
    const value = communicationKey(crypto, chain, { sessionId, epoch, purpose })
    secrets.push({ what: `key of purpose ${purpose}`, value })
  }
}

async function exchangeAndRenew(device: TestDevice): Promise<void> {
  const first = await establish(service, device)
  const session = await establish(service, device)
  for (const made of [first, session]) keepSession(made)
  const { sessionId, epoch, chain, accessToken } = session
  const nonce = secret('nonce of a renewal')
  const proof = tokenProof(crypto, chain, { sessionId, epoch, nonce })
  const body = { deviceId: device.deviceId, epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
  expectStatus(201, await call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body }))
  expectStatus(409, await call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body }))
  const metadata = { note: toBase64url(secret('metadata of a device')) }
  await asAdmin(200, 'PATCH', `/v1/devices/${device.deviceId}`, { metadata }, accessToken)
  await asAdmin(403, 'PATCH', `/v1/devices/${device.deviceId}`, { name: 'mine' }, accessToken)
  for (let i = 0; i < 3; i++) keepSession(await openExchange(service, device))
  const opened = await openExchange(service, device)
  const wrong = { ...opened, deviceConfirmation: secret('wrong confirmation', 64) }
  expectStatus(401, await confirm(service, device, wrong))
  expectStatus(401, await sendExchange(service, (await initiate(service, { ...device, ...makeIdentity() })).wire))
}

async function rotateIdentity(device: TestDevice): Promise<TestDevice> {
  const complete = async (status: number, wish: Parameters<typeof signRotation>[3]) => {
    const started = await startRotation(service, device)
    const body = signRotation(device, started, makeIdentity().identityKey, wish)
    expectStatus(status, await completeRotation(service, device.deviceId, started.challengeId, body))
  }
  await complete(401, { oldSigner: makeIdentity().identityKey })
  await complete(400, { evidence: [{ format: 'tpm2' }] })
  const rotated = await rotate(service, device)
  secrets.push({ what: 'seed of a new identity', value: rotated.identitySeed })
  const database = service.database.open('qflare_worker', 2)
  const parts = { database, writeEvent: createEventWriter(crypto), logger: createLogger('silent') }
  await flagOldIdentityKeys({ ...parts, identityKeyMaxAgeDays: 1 }, service.time.now + 90_000_000, async () => {})
  await makeApiToken(service, ['auditor'])
  await tellEndingApiTokens(parts, service.time.now + 80 * 86_400_000, async () => {})
  return rotated
}

async function refuseEnrolments(device: TestDevice): Promise<void> {
  const complete = async (status: number, change: object, key = makeIdentity().identityKey) => {
    const started = await startEnrollment(service, (await createToken(service)).credential)
    const body = { ...signCompletion(started, key), ...change }
    expectStatus(status, await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body }))
  }
  await complete(400, {}, device.identityKey)
  await complete(409, { name: 'other than what was signed' })
  const { id } = await createToken(service)
  const unknown = { token: `${id}.${toBase64url(secret('wrong secret of an enrolment token'))}` }
  expectStatus(401, await call(service, 'POST', '/v1/enrollments', { body: unknown }))
  await asAdmin(204, 'DELETE', `/v1/enrollment-tokens/${id}`)
}

async function refuseAccess(): Promise<void> {
  const tenant = await makeTenant(service, 'another')
  await asAdmin(201, 'POST', '/v1/enrollment-tokens/bulk', { items: [{ kind: 'device' }] }, tenant.adminToken)
  await asAdmin(403, 'GET', '/v1/organizations', undefined, tenant.adminToken)
  await asAdmin(404, 'GET', `/v1/devices/${newId()}`, undefined, tenant.adminToken)
  const { id, token } = await makeApiToken(service, ['auditor'])
  await asAdmin(403, 'GET', '/v1/api-tokens', undefined, token)
  await asAdmin(204, 'DELETE', `/v1/api-tokens/${id}`)
  for (const status of [401, 401, 401, 429]) {
    const guess = `qf_${id}.${toBase64url(secret('guessed API token'))}`
    await asAdmin(status, 'GET', '/v1/devices', undefined, guess)
  }
}

async function endEverything(device: TestDevice): Promise<void> {
  const { sessionId } = await establish(service, device)
  await asAdmin(204, 'DELETE', `/v1/sessions/${sessionId}`)
  await establish(service, device)
  for (const step of ['suspend', 'resume', 'revoke']) {
    await asAdmin(200, 'POST', `/v1/devices/${device.deviceId}/${step}`, {})
  }
  await enrollTestDevice(service, { kind: 'coordinator' })
}

async function askForJobs(): Promise<void> {
  await asAdmin(202, 'POST', '/v1/jobs/idle/run', {})
  await asAdmin(202, 'POST', '/v1/jobs/failed/long:1/retry', {})
}

async function recover(): Promise<void> {
  const keepToken = async (token: string) => {
    secrets.push({ what: 'recovered admin token', value: fromBase64url(token.split('.')[1] ?? '', 32) })
  }
  const parts = { database: service.database.open('qflare_worker', 2), crypto, keepToken }
  const { revoked } = await recoverAdminToken(parts, { organization: 'another', revokesOthers: true })
  expect(revoked).toHaveLength(1)
}

async function destroyKeys(): Promise<void> {
  service.time.now += BUCKET_MS + GRACE_MS
  await service.tick()
  secrets.push(...(await listServiceSecrets(service, rootKey)))
  await service.store.makeOnce({ kind: 'epoch', number: 1, generation: 0 }, secret('record of an unknown key', 99))
  const database = service.database.open('qflare_worker', 2)
  const parts = { database, store: service.store, crypto, writeEvent: createEventWriter(crypto) }
  expect(await destroyUnknownRecords(parts, service.time.now)).toHaveLength(1)
}

async function endSessionsByTime(): Promise<void> {
  const device = await enrollTestDevice(service)
  for (let i = 0; i < 2; i++) keepSession(await establish(service, device))
  await service.database.sql.query(`select make_session_partition('2021-03-04')`)
  const parts = { database: service.database.open('qflare_worker', 1), writeEvent: createEventWriter(crypto) }
  for (const after of [SUPERSEDED_MS, SESSION_MS]) await endSessions(parts, service.time.now + after)
  expect(await pruneSessions({ ...parts, retentionDays: 7 }, service.time.now)).toHaveLength(1)
}

describe('the log of a service that did everything', () => {
  const events = () => log.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text))

  test('has every type of event that such a service can have', () => {
    const seen = new Set<string>([...events().map(({ type }) => type), ...eventsOfElsewhere])
    expect(seen).toEqual(new Set(Object.keys(auditEventTypes)))
  })

  test('says of each event what the table of types says, and no more', () => {
    for (const { type, severity, subject, data } of events()) {
      const shape = auditEventTypes[type as keyof typeof auditEventTypes]
      expect(severity, type).toBe(shape.severity)
      expectMembers(type, subject, shape.subject)
      expectMembers(type, data, shape.data)
    }
  })

  function expectMembers(type: string, members: object, names: readonly string[]): void {
    const written = Object.keys(members)
    const optional = names.filter((name) => name.endsWith('?')).map((name) => name.slice(0, -1))
    const required = names.filter((name) => !name.endsWith('?'))
    expect(written.filter((name) => !optional.includes(name)).toSorted(), type).toEqual(required.toSorted())
  }

  test('holds no key, no token, no metadata and no address, in whatever form', () => {
    expect(new Set(secrets.map(({ what }) => what)).size).toBeGreaterThan(60)
    const search = createSecretSearch(secrets)
    for (const text of log) expect(search(text)).toEqual([])
  })
})
