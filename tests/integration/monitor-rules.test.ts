import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { MonitorEventsParts } from '../../workers/jobs/monitor-events.ts'
import { firstOrganization } from '../support/audit.ts'
import {
  failedConfirmation,
  forgetIncidents,
  monitorPartsOf,
  series,
  setMonitorSettings,
  storedIncidents,
  watch,
} from '../support/monitor.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** Rules of the security monitor that are not like the others, and what an organization makes of them. */

let service: TestService
let parts: MonitorEventsParts
let organizationId: string

beforeAll(async () => {
  service = await startTestService()
  parts = monitorPartsOf(service)
  organizationId = await firstOrganization(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  await watch(service, parts)
  await forgetIncidents(service)
})

const failed = (deviceId: string, organization = organizationId) => failedConfirmation(organization, deviceId)

function quarantined(deviceId: string, checks = ['tpm2.pcrs']): EventDraft {
  return {
    organizationId,
    actor: { type: 'device', id: deviceId },
    type: 'device.quarantined',
    subject: { deviceId },
    data: { attestationId: newId(), policyId: 'fleet@1', checks, sessions: 1 },
    requestId: newId(),
  }
}

test('is opened for a device that exchanges far more often than it used to, once an hour', async () => {
  const device = newId()
  const opened = (): EventDraft => ({
    organizationId,
    actor: { type: 'device', id: device },
    type: 'session.opened',
    subject: { deviceId: device, sessionId: newId() },
    data: { suite: 'ML-KEM-1024', bucket: 1, expiresAt: service.time.now },
    requestId: newId(),
  })
  const begin = Math.floor(service.time.now / 3_600_000) * 3_600_000
  const inHour = (hour: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({ draft: opened(), at: begin + hour * 3_600_000 + i }))
  for (let hour = -12; hour < 0; hour++) await watch(service, parts, inHour(hour, 12))
  await watch(service, parts, inHour(0, 24))
  expect(await storedIncidents(service)).toEqual([])
  await watch(service, parts, inHour(0, 1))
  await watch(service, parts, inHour(0, 30))
  expect(await storedIncidents(service)).toMatchObject([{ rule: 'exchange-rate', count: 1, devices: 1 }])
  await watch(service, parts, inHour(1, 60))
  expect(await storedIncidents(service)).toMatchObject([{ count: 2 }])
})

describe('the settings of an organization', () => {
  test('change thresholds, windows and severities, and switch rules off', async () => {
    const device = newId()
    await setMonitorSettings(service, organizationId, {
      rules: {
        'confirmations-failed': { threshold: 5, windowSeconds: 60, severity: 'critical' },
        'attestation-failed': { enabled: false },
      },
    })
    await watch(service, parts, [
      ...series(service, () => failed(device), 4),
      ...series(service, () => quarantined(newId()), 3),
    ])
    expect(await storedIncidents(service)).toEqual([])
    await watch(
      service,
      parts,
      series(service, () => failed(device), 1),
    )
    expect(await storedIncidents(service)).toMatchObject([{ count: 5, severity: 'critical' }])
  })
})
