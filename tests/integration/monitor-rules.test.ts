import { describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { failedConfirmation, openedSession, quarantinedDevice, useMonitor } from '../support/monitor.ts'

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
