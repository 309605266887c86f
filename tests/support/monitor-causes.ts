import { ATTESTATION_INTERVAL_MS } from '../../protocol/attestation/intervals.ts'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import type { MonitorRuleName } from '../../protocol/monitor/rules.ts'
import { KEK_OVERUSED } from '../../runtime/custody/kek-uses.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { checkStoredLog } from '../../workers/jobs/check-audit-log.ts'
import { watchAttestations } from '../../workers/jobs/watch-attestations.ts'
import { createReserveKekUses } from '../../workers/reserve-kek-uses.ts'
import {
  call,
  confirm,
  createToken,
  establish,
  initiate,
  makeIdentity,
  openExchange,
  sendExchange,
  signCompletion,
  startEnrollment,
} from './api.ts'
import { attest, signAttestation, startAttestation, submitAttestation } from './attestation.ts'
import { startTellingNode } from './refusal-events.ts'
import { enterService } from './rounds.ts'
import { crypto, type TestService } from './service.ts'
import { makeApiToken } from './tenants.ts'
import { enterWithTpm, otherPcrs, quoteOf } from './tpm/device.ts'
import { newTpm } from './tpm/service.ts'

/** How each rule of the monitor is brought about through the service itself, by requests and time alone. What the incident is about. */
export type Cause = (service: TestService) => Promise<string>

const HOUR_MS = 3_600_000
const times = async (count: number, work: (i: number) => Promise<unknown>) => {
  for (let i = 0; i < count; i++) await work(i)
}
const pass = async (service: TestService, ms: number) => {
  service.time.now += ms
  await service.tick()
}
/** What is refused is told by a process when it ends. */
const toldBy = async (service: TestService, work: (node: TestService) => Promise<void>) => {
  const { node, tell } = await startTellingNode(service)
  await work(node)
  await tell()
}
const about = ({ deviceId }: { deviceId: string }) => `device ${deviceId}`
const expectStatus = ({ status }: { status: number }, expected: number) => {
  if (status !== expected) throw new Error(`It was answered ${status}, not ${expected}.`)
}
const attestFailing = async (service: TestService) => {
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  await attest(service, party, (binding) => [quoteOf(tpm, binding, { pcrs: otherPcrs })])
  return party
}

export const causes: Record<MonitorRuleName, Cause> = {
  async 'attestation-failed'(service) {
    await attestFailing(service)
    return 'policy edge@1: tpm2.pcrs'
  },

  async 'attestation-overdue'(service) {
    const parts = { database: service.database.open('qflare_worker', 1), writeEvent: service.log.options.writeEvent }
    const tpm = newTpm()
    let party = await enterWithTpm(service, tpm, 'edge')
    await times(3, async () => {
      await attest(service, party, (binding) => [quoteOf(tpm, binding)])
      for (let missed = 0; missed < 3; missed++) {
        await pass(service, ATTESTATION_INTERVAL_MS)
        await watchAttestations(parts, service.time.now)
      }
      party = { ...party, ...(await establish(service, party)) }
    })
    return about(party)
  },

  async 'enrollment-interfered'(service) {
    const { id, credential } = await createToken(service)
    const started = await startEnrollment(service, credential)
    const trust = { ...started.trust, trustDomain: 'attacker.example' }
    const body = signCompletion(started, makeIdentity().identityKey, { trust })
    expectStatus(await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body }), 409)
    return `enrollment_token ${id}`
  },

  async 'device-impersonated'(service) {
    const party = await enterService(service)
    const started = await startAttestation(service, party)
    const signer = makeIdentity().identityKey
    const body = signAttestation(party, started, undefined, { signer })
    expectStatus(await submitAttestation(service, party, started.attestationId, body), 401)
    return about(party)
  },

  async 'confirmations-failed'(service) {
    const device = await enterService(service)
    await times(3, async () => {
      const opened = await openExchange(service, device)
      expectStatus(await confirm(service, device, { ...opened, deviceConfirmation: crypto.randomBytes(64) }), 401)
    })
    return about(device)
  },

  async 'sessions-contended'(service) {
    const device = await enterService(service)
    await times(12, () => establish(service, device))
    return about(device)
  },

  async 'exchange-rate'(service) {
    const device = await enterService(service)
    await times(9, async () => {
      await pass(service, HOUR_MS)
      await establish(service, device)
    })
    // Not confirmed: what it asks for is what counts.
    await times(25, () => openExchange(service, device))
    return about(device)
  },

  async 'networks-changed'(service) {
    const device = await enterService(service)
    await times(8, async (i) => {
      const headers = { 'x-forwarded-for': `203.0.${i}.7` }
      const { wire } = await initiate(service, device)
      expectStatus(await call(service, 'POST', '/v1/exchanges', { body: wire, headers }), 201)
    })
    return about(device)
  },

  async 'identity-key-worn'(service) {
    const body = { rules: { 'identity-key-worn': { threshold: 6 } } }
    expectStatus(await call(service, 'PUT', '/v1/monitor-settings', { token: service.adminToken, body }), 200)
    const device = await enterService(service)
    await times(3, () => attest(service, device))
    await times(2, () => openExchange(service, device))
    return about(device)
  },

  async 'access-refused'(service) {
    const device = await enterService(service)
    for (const what of ['api-tokens', 'enrollment-tokens', 'policies', 'incidents', 'audit/events']) {
      expectStatus(await call(service, 'GET', `/v1/${what}`, { token: device.accessToken }), 403)
    }
    return about(device)
  },

  async 'ids-sought'(service) {
    const { id, token } = await makeApiToken(service, ['operator'])
    await toldBy(service, (node) =>
      times(10, async () => expectStatus(await call(node, 'GET', `/v1/devices/${newId()}`, { token }), 404)),
    )
    return `api_token ${id}`
  },

  async 'exchanges-forged'(service) {
    const device = await enterService(service)
    await toldBy(service, async (node) => {
      const { wire } = await initiate(node, { ...device, ...makeIdentity() })
      await times(20, async () => expectStatus(await sendExchange(node, wire), 401))
    })
    return about(device)
  },

  async 'messages-replayed'(service) {
    const device = await enterService(service)
    await toldBy(service, async (node) => {
      const { wire } = await initiate(node, device)
      expectStatus(await sendExchange(node, wire), 201)
      await times(5, async () => expectStatus(await sendExchange(node, wire), 409))
    })
    return about(device)
  },

  async 'clock-astray'(service) {
    const device = await enterService(service)
    await toldBy(service, async (node) => {
      const { wire } = await initiate(node, device)
      const bucket = bucketAt(service.time.now - 7 * 24 * HOUR_MS + BUCKET_MS)
      await times(20, async () => expectStatus(await sendExchange(node, { ...wire, bucket }), 409))
    })
    return about(device)
  },

  async 'barred-device-tries'(service) {
    const device = await attestFailing(service)
    await toldBy(service, (node) =>
      times(5, async () => expectStatus(await sendExchange(node, (await initiate(node, device)).wire), 401)),
    )
    return about(device)
  },

  async 'token-guessed'(service) {
    const { id, token } = await makeApiToken(service, ['auditor'])
    const wrong = token.replace(/.{8}$/, (end) => (end === 'A'.repeat(8) ? 'B' : 'A').repeat(8))
    await toldBy(service, (node) =>
      times(10, async () => expectStatus(await call(node, 'GET', '/v1/audit/events', { token: wrong }), 401)),
    )
    return `api_token ${id}`
  },

  async 'enrollment-token-reused'(service) {
    const { id, credential } = await createToken(service)
    const started = await startEnrollment(service, credential)
    const body = signCompletion(started, makeIdentity().identityKey)
    expectStatus(await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body }), 201)
    await toldBy(service, async (node) => {
      expectStatus(await call(node, 'POST', '/v1/enrollments', { body: { token: credential } }), 401)
    })
    return `enrollment_token ${id}`
  },

  /** Somebody who may do anything with the database changes the first entry, and changes it back. */
  async 'log-differs'(service) {
    await service.log.sequence()
    const { sql } = service.database
    const change = (from: string, to: string) =>
      sql.query('update audit_entry set entry = replace(entry, $1, $2) where index = 0', [from, to])
    await sql.query('set session_replication_role = replica')
    await change('"type":"', '"type":"x')
    try {
      await checkStoredLog(
        {
          database: service.database.open('qflare_worker', 1),
          storedLog: {
            database: service.database.open('qflare_sequencer', 1),
            keys: service.log.keys,
            readCheckpointFile: undefined,
          },
          crypto,
          writeEvent: service.log.options.writeEvent,
          logger: createLogger('silent'),
          metrics: createMetrics(),
        },
        service.time.now,
        async () => {},
      )
    } finally {
      await change('"type":"x', '"type":"')
      await sql.query('set session_replication_role = origin')
    }
    return 'audit log'
  },

  async 'kek-overused'(service) {
    const { sql } = service.database
    await sql.query('update kek_version set uses = $1 where purpose = 4 and version = 1', [KEK_OVERUSED - 1])
    const { writeEvent, clock } = service.log.options
    await createReserveKekUses({ database: service.database.open('qflare_api', 1), clock, writeEvent })(
      'challenge',
      1,
      1,
    )
    await sql.query('update kek_version set uses = 1 where purpose = 4 and version = 1')
    return 'key-encryption key 1 of challenge'
  },
}
