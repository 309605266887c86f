import { beforeEach, describe, expect, it } from 'vitest'
import { openIncidents, type QflareIncidents } from '../../client/incidents.ts'
import { type Outcome, type Provoked, resolveProvoked } from '../../demo/incidents.ts'
import { newId } from '../../runtime/ids.ts'
import { quarantinedDevice, useMonitor } from '../support/monitor.ts'

const monitor = useMonitor()
let incidents: QflareIncidents

beforeEach(() => {
  incidents = openIncidents({ url: monitor.service.url, apiToken: monitor.service.adminToken })
})

function resolve(
  provoked: Provoked,
  deviceIds: string[],
  { withinMs = 0, signal = new AbortController().signal } = {},
): Promise<Outcome> {
  return resolveProvoked(incidents, provoked, { deviceIds: new Set(deviceIds), withinMs, signal })
}
const quarantineOf = (deviceId: string): Provoked => ({ rule: 'attestation-failed', deviceId })
const quarantine = (deviceId: string) => monitor.see(() => quarantinedDevice(monitor.organizationId, deviceId), 1)
const statuses = async () => (await monitor.incidents()).map(({ status }) => status)

describe('an incident that a demo caused', () => {
  it('is acknowledged and resolved, and another one of the same the next time', async () => {
    for (const times of [1, 2]) {
      const deviceId = newId()
      await quarantine(deviceId)
      expect(await resolve(quarantineOf(deviceId), [deviceId])).toBe('resolved')
      expect(await statuses()).toEqual(Array(times).fill('RESOLVED'))
    }
  })

  it('stays open when a device of somebody else is in it, whoever came first', async () => {
    const [mine, foreign] = [newId(), newId()]
    await quarantine(foreign)
    await quarantine(mine)
    expect(await resolve(quarantineOf(mine), [mine])).toBe('open')
    expect(await resolve(quarantineOf(foreign), [foreign])).toBe('open')
    expect(await statuses()).toEqual(['OPEN'])
  })

  it('is waited for until it is told, and no longer than it may take', async () => {
    const deviceId = newId()
    const untold = expect(resolve(quarantineOf(deviceId), [deviceId])).rejects
    await untold.toThrow('The security monitor has not told of it: attestation-failed.')
    const waited = resolve(quarantineOf(deviceId), [deviceId], { withinMs: 60_000 })
    await quarantine(deviceId)
    expect(await waited).toBe('resolved')
  })

  it('is not waited for by whoever ended the demo', async () => {
    const signal = AbortSignal.abort()
    const ended = expect(resolve(quarantineOf(newId()), [], { withinMs: 60_000, signal })).rejects
    await ended.toThrow('Nobody waited for the security monitor.')
  })

  it.each([{ enabled: false }, { threshold: 2 }])(
    'is none where the organization wants %o of its rule',
    async (rule) => {
      await monitor.configure({ rules: { 'attestation-failed': rule } })
      expect(await resolve(quarantineOf(newId()), [], { withinMs: 60_000 })).toBe('untold')
    },
  )

  it('is of its own token alone', async () => {
    const [mine, foreign] = [newId(), newId()]
    const reused = (id: string) => () => ({
      ...quarantinedDevice(monitor.organizationId, newId()),
      actor: { type: 'service' as const, id: '00000000-0000-0000-0000-000000000000' },
      type: 'enrollment_token.refused' as const,
      subject: { enrollmentTokenId: id },
      data: { since: 0, secret: 0, used: 1, ended: 0 },
    })
    await monitor.see(reused(mine), 1)
    await monitor.see(reused(foreign), 1)
    const about = `enrollment_token ${mine}`
    expect(await resolve({ rule: 'enrollment-token-reused', about }, [])).toBe('resolved')
    const found = await monitor.incidents()
    expect(found.map(({ subject, status }) => [subject, status])).toEqual([
      [about, 'RESOLVED'],
      [`enrollment_token ${foreign}`, 'OPEN'],
    ])
  })
})
