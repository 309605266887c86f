import { beforeEach, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import {
  call,
  createToken,
  establish,
  initiate,
  makeIdentity,
  sendExchange,
  signCompletion,
  startEnrollment,
} from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { useMonitor } from '../support/monitor.ts'
import { startTellingNode } from '../support/refusal-events.ts'
import { askKeys, enterService, makeFederation, openAnswer, openRound, type TestParty } from '../support/rounds.ts'
import type { TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'
import { enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService } from '../support/tpm/service.ts'
import type { SoftwareTpm } from '../support/tpm/software-tpm.ts'

/** What attackers do, from the first request to what a person is told of it. */

const monitor = useMonitor(startTpmService)

beforeEach(() => monitor.service.tick())

test('a firmware that was tampered with reaches 200 devices: one incident, 200 quarantined, and the rest trains on', async () => {
  const fleet: { tpm: SoftwareTpm; party: TestParty }[] = []
  for (let i = 0; i < 206; i++) {
    const tpm = newTpm()
    fleet.push({ tpm, party: await enterWithTpm(monitor.service, tpm, 'edge') })
  }
  const coordinator = await enterService(monitor.service, 'coordinator')
  const parties = fleet.map(({ party }) => party)
  const federation = await makeFederation(monitor.service, coordinator, parties)
  const round = await openRound(monitor.service, coordinator, federation)

  for (const [i, { tpm, party }] of fleet.entries()) {
    const pcrs = i < 200 ? { pcrs: otherPcrs } : {}
    const { body } = await attest(monitor.service, party, (binding) => [quoteOf(tpm, binding, pcrs)])
    expect(body.status).toBe(i < 200 ? 'QUARANTINED' : 'ACTIVE')
    // As it comes: the monitor looks while it is going on.
    if (i % 50 === 0) await monitor.watch()
  }
  await monitor.watch()

  expect(await monitor.incidents()).toMatchObject([
    { rule: 'attestation-failed', severity: 'critical', devices: 200, count: 200, events: 200 },
  ])
  const { keys, refused } = openAnswer(
    coordinator,
    federation,
    round,
    await askKeys(monitor.service, coordinator, round),
  )
  expect(keys.map(({ deviceId }) => deviceId).toSorted()).toEqual(
    parties
      .slice(200)
      .map(({ deviceId }) => deviceId)
      .toSorted(),
  )
  expect(Object.values(refused)).toEqual(Array.from({ length: 200 }, () => 'quarantined'))
}, 120_000)

test('a device was cloned: both take sessions from each other, and its one identity is suspended where that is wanted', async () => {
  await monitor.configure({ rules: { 'sessions-contended': { response: 'suspend' } } })
  const [device, other] = [await enterService(monitor.service), await enterService(monitor.service)]
  for (let i = 0; i < 6; i++) {
    // The one, and whoever copied its keys.
    await establish(monitor.service, device)
    await establish(monitor.service, { ...device })
    monitor.service.time.now += 60_000
    await monitor.service.tick()
  }
  await monitor.watch()
  expect(await monitor.incidents()).toMatchObject([
    { rule: 'sessions-contended', subject: `device ${device.deviceId}`, devices: 1 },
  ])
  await expect(establish(monitor.service, device)).rejects.toThrow()
  await establish(monitor.service, other)
})

/** What `work` does to a process of its own, which has told what it refused when this resolves, and what the monitor makes of it. */
async function watched(work: (node: TestService) => Promise<void>): Promise<void> {
  const { node, tell } = await startTellingNode(monitor.service)
  await work(node)
  await tell()
  await monitor.watch()
}

test('an enrolment token was stolen: whoever comes second gets nothing, and it is told at once', async () => {
  const { id, credential } = await createToken(monitor.service)
  const identity = makeIdentity()
  const started = await startEnrollment(monitor.service, credential)
  const completed = await call(monitor.service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, {
    body: signCompletion(started, identity.identityKey),
  })
  expect(completed.status).toBe(201)
  await watched(async (node) => {
    expect(await call(node, 'POST', '/v1/enrollments', { body: { token: credential } })).toMatchObject({ status: 401 })
  })
  expect(await monitor.incidents()).toMatchObject([
    { rule: 'enrollment-token-reused', severity: 'critical', subject: `enrollment_token ${id}` },
  ])
})

test('a proxy replays what a device sends: it gets nothing, the device goes on, and the replays are told', async () => {
  const device = await enterService(monitor.service)
  await watched(async (node) => {
    for (let i = 0; i < 3; i++) {
      const { wire } = await initiate(node, device)
      expect((await sendExchange(node, wire)).status).toBe(201)
      for (let again = 0; again < 2; again++) expect((await sendExchange(node, wire)).status).toBe(409)
    }
  })
  expect(await monitor.incidents()).toMatchObject([
    { rule: 'messages-replayed', subject: `device ${device.deviceId}`, count: 6 },
  ])
  await establish(monitor.service, device)
})

test('a curious tenant with a valid token learns nothing, not even from what it is told, and is told of', async () => {
  const device = await enterService(monitor.service)
  const curious = await makeTenant(monitor.service, newId())
  const asked: unknown[] = []
  await watched(async (node) => {
    for (let i = 0; i < 6; i++) {
      for (const id of [device.deviceId, newId()]) {
        const { status, body } = await call(node, 'GET', `/v1/devices/${id}`, { token: curious.adminToken })
        asked.push([status, body.code])
      }
    }
  })
  expect(asked).toEqual(Array.from({ length: 12 }, () => [404, 'not_found']))
  expect(await monitor.incidents()).toMatchObject([
    { organization_id: curious.organizationId, rule: 'ids-sought', count: 12 },
  ])
})

test('a flood of forged exchanges in the name of a device alarms, and does nothing to the device', async () => {
  const rules = Object.fromEntries(
    ['sessions-contended', 'access-refused', 'exchange-rate', 'ids-sought', 'attestation-failed'].map((rule) => [
      rule,
      { response: 'suspend' },
    ]),
  )
  await monitor.configure({ rules })
  const device = await enterService(monitor.service)
  const forged = { ...device, ...makeIdentity() }
  await watched(async (node) => {
    for (let i = 0; i < 30; i++) {
      const { wire } = await initiate(node, forged)
      expect((await sendExchange(node, wire)).status).toBe(401)
    }
  })
  expect(await monitor.incidents()).toMatchObject([{ rule: 'exchanges-forged', count: 30 }])
  await establish(monitor.service, device)
})
