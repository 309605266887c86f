import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { MonitorEventsParts } from '../../workers/jobs/monitor-events.ts'
import { establish } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { firstOrganization } from '../support/audit.ts'
import { forgetIncidents, monitorPartsOf, setMonitorSettings, storedIncidents, watch } from '../support/monitor.ts'
import { askKeys, enterService, makeFederation, openAnswer, openRound, type TestParty } from '../support/rounds.ts'
import type { TestService } from '../support/service.ts'
import { enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService } from '../support/tpm/service.ts'
import type { SoftwareTpm } from '../support/tpm/software-tpm.ts'

/** What attackers do, from the first request to what a person is told of it. */

let service: TestService
let parts: MonitorEventsParts
let organizationId: string

beforeAll(async () => {
  service = await startTpmService()
  parts = monitorPartsOf(service)
  organizationId = await firstOrganization(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  await service.tick()
  await watch(service, parts)
  await forgetIncidents(service)
})

test('a firmware that was tampered with reaches 200 devices: one incident, 200 quarantined, and the rest trains on', async () => {
  const fleet: { tpm: SoftwareTpm; party: TestParty }[] = []
  for (let i = 0; i < 206; i++) {
    const tpm = newTpm()
    fleet.push({ tpm, party: await enterWithTpm(service, tpm, 'edge') })
  }
  const coordinator = await enterService(service, 'coordinator')
  const parties = fleet.map(({ party }) => party)
  const federation = await makeFederation(service, coordinator, parties)
  const round = await openRound(service, coordinator, federation)

  for (const [i, { tpm, party }] of fleet.entries()) {
    const pcrs = i < 200 ? { pcrs: otherPcrs } : {}
    const { body } = await attest(service, party, (binding) => [quoteOf(tpm, binding, pcrs)])
    expect(body.status).toBe(i < 200 ? 'QUARANTINED' : 'ACTIVE')
    // As it comes: the monitor looks while it is going on.
    if (i % 50 === 0) await watch(service, parts)
  }
  await watch(service, parts)

  expect(await storedIncidents(service)).toMatchObject([
    { rule: 'attestation-failed', severity: 'critical', devices: 200, count: 200, events: 200 },
  ])
  const { keys, refused } = openAnswer(coordinator, federation, round, await askKeys(service, coordinator, round))
  expect(keys.map(({ deviceId }) => deviceId).toSorted()).toEqual(
    parties
      .slice(200)
      .map(({ deviceId }) => deviceId)
      .toSorted(),
  )
  expect(Object.values(refused)).toEqual(Array.from({ length: 200 }, () => 'quarantined'))
}, 120_000)

test('a device was cloned: both take sessions from each other, and its one identity is suspended where that is wanted', async () => {
  await setMonitorSettings(service, organizationId, { rules: { 'sessions-contended': { response: 'suspend' } } })
  const [device, other] = [await enterService(service), await enterService(service)]
  for (let i = 0; i < 6; i++) {
    // The one, and whoever copied its keys.
    await establish(service, device)
    await establish(service, { ...device })
    service.time.now += 60_000
    await service.tick()
  }
  await watch(service, parts)
  expect(await storedIncidents(service)).toMatchObject([
    { rule: 'sessions-contended', subject: `device ${device.deviceId}`, devices: 1 },
  ])
  await expect(establish(service, device)).rejects.toThrow()
  await establish(service, other)
})
