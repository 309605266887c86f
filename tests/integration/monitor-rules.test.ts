import { describe, expect, test } from 'vitest'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents } from '../support/audit.ts'
import { failedConfirmation, monitorPartsOf, openedSession, quarantinedDevice, useMonitor } from '../support/monitor.ts'

/** Rules of the security monitor that are not like the others, and what an organization makes of them. */

const monitor = useMonitor()
const failed = (deviceId: string, organization = monitor.organizationId) => failedConfirmation(organization, deviceId)

test('is opened for a device that exchanges far more often than it used to, once an hour', async () => {
  const device = newId()
  const opened = () => openedSession(monitor.organizationId, device)
  const begin = Math.floor(monitor.service.time.now / 3_600_000) * 3_600_000
  const inHour = (hour: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({ draft: opened(), at: begin + hour * 3_600_000 + i }))
  for (let hour = -12; hour < 0; hour++) await monitor.watch(inHour(hour, 12))
  await monitor.watch(inHour(0, 24))
  expect(await monitor.incidents()).toEqual([])
  await monitor.watch(inHour(0, 1))
  await monitor.watch(inHour(0, 30))
  expect(await monitor.incidents()).toMatchObject([{ rule: 'exchange-rate', count: 1, devices: 1 }])
  await monitor.watch(inHour(1, 60))
  expect(await monitor.incidents()).toMatchObject([{ count: 2 }])
})

describe('an identity key', () => {
  const rule = 'identity-key-worn'
  const of = (deviceId: string) => ({
    organizationId: monitor.organizationId,
    actor: { type: 'device' as const, id: deviceId },
    requestId: newId(),
  })
  const opened = (deviceId: string) => openedSession(monitor.organizationId, deviceId)
  const attested = (deviceId: string): EventDraft => ({
    ...of(deviceId),
    type: 'device.attested',
    subject: { deviceId, sessionId: newId() },
    data: { attestationId: newId(), kid: 'k', tier: 'none', policyId: 'none' },
  })
  const rotated = (deviceId: string): EventDraft => ({
    ...of(deviceId),
    type: 'device.identity_rotated',
    subject: { deviceId },
    data: { oldKid: 'k', kid: 'l', alg: 'ML-DSA-44', tier: 'none', policyId: 'none', sessions: 1 },
  })

  test('that signed as often as its budget allows is told of once, however long that took, and its successor by itself', async () => {
    const device = newId()
    await monitor.configure({ rules: { [rule]: { threshold: 6 } } })
    await monitor.see(() => opened(device), 3, 86_400 * 20)
    await monitor.see(() => attested(device), 2, 86_400 * 20)
    await monitor.see(() => opened(newId()), 5)
    expect(await monitor.incidents()).toEqual([])
    await monitor.see(() => attested(device), 1)
    expect(await monitor.incidents()).toMatchObject([
      { rule, subject: `device ${device}`, severity: 'notice', count: 6, events: 1, devices: 1 },
    ])
    await monitor.see(() => opened(device), 10)
    expect(await monitor.incidents()).toMatchObject([{ count: 6, events: 1 }])
    await monitor.see(() => rotated(device), 1)
    await monitor.see(() => opened(device), 4)
    expect(await monitor.incidents()).toMatchObject([{ count: 6 }])
    await monitor.see(() => opened(device), 1)
    expect(await monitor.incidents()).toMatchObject([{ count: 12, events: 2 }])
  })

  test('is counted once for each use, also when the log is read again or by two at once', async () => {
    const device = newId()
    await monitor.configure({ rules: { [rule]: { threshold: 8 } } })
    await addEvents(
      monitor.service,
      monitor.series(() => opened(device), 7),
    )
    await monitor.service.log.sequence()
    const at = monitor.service.time.now
    await Promise.all([monitorEvents(monitor.parts, at), monitorEvents(monitorPartsOf(monitor.service), at)])
    await monitor.sql('update monitor_state set next_index = 0')
    await monitor.watch()
    expect(await monitor.incidents()).toEqual([])
    await monitor.see(() => opened(device), 1)
    expect(await monitor.incidents()).toMatchObject([{ rule, count: 8 }])
  })
})

describe('the settings of an organization', () => {
  test('change thresholds, windows and severities, and switch rules off', async () => {
    const device = newId()
    await monitor.configure({
      rules: {
        'confirmations-failed': { threshold: 5, windowSeconds: 60, severity: 'critical' },
        'attestation-failed': { enabled: false },
      },
    })
    await monitor.watch([
      ...monitor.series(() => failed(device), 4),
      ...monitor.series(() => quarantinedDevice(monitor.organizationId, newId()), 3),
    ])
    expect(await monitor.incidents()).toEqual([])
    await monitor.see(() => failed(device), 1)
    expect(await monitor.incidents()).toMatchObject([{ count: 5, severity: 'critical' }])
  })
})
