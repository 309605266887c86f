import { describe, expect, test } from 'vitest'
import { monitorRuleNames, monitorRules } from '../../protocol/monitor/rules.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { monitorWish } from '../support/incidents.ts'
import { failedConfirmation, useMonitor } from '../support/monitor.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { enterService } from '../support/rounds.ts'
import { eventsOf, makeApiToken, makeTenant } from '../support/tenants.ts'

/** How an organization has the monitor work, and what the monitor counts of devices. */

const monitor = useMonitor()
const show = (token = monitor.service.adminToken) => call(monitor.service, 'GET', '/v1/monitor-settings', { token })
const change = (body: unknown, token = monitor.service.adminToken) =>
  call(monitor.service, 'PUT', '/v1/monitor-settings', { token, body })
const changes = () => eventsOf(monitor.service, monitor.organizationId, 'monitor.settings_changed')

describe('the settings of the monitor', () => {
  test('are those of the service until somebody changes them, rule by rule', async () => {
    const { body } = await show()
    expect(body).toMatchObject({
      settings: { dryRun: false, responsesPerHour: 5, slowMinutes: 60, rules: {} },
      changedAt: null,
      isReadable: true,
    })
    expect(body.rules.map(({ name }: { name: string }) => name)).toEqual(monitorRuleNames)
    for (const rule of body.rules) {
      const { meaning, threshold, windowSeconds, severity, isProved } =
        monitorRules[rule.name as keyof typeof monitorRules]
      expect(rule).toMatchObject({ meaning, threshold, windowSeconds, severity, mayRespond: isProved })
      expect(rule).toMatchObject({ isEnabled: true, response: 'none' })
    }
  })

  test('are changed as a whole, with an event, and the same again changes nothing', async () => {
    const told = (await changes()).length
    const wish = monitorWish()
    const at = monitor.service.time.now
    const { status, body } = await change(wish)
    expect([status, body.settings, body.changedAt]).toEqual([200, wish, at])
    expect(body.rules.find(({ name }: { name: string }) => name === 'access-refused')).toMatchObject(
      wish.rules['access-refused'] as object,
    )
    expect((await show()).body).toEqual(body)
    monitor.service.time.now += 1_000
    expect((await change(wish)).body).toEqual(body)
    expect((await changes()).slice(told)).toMatchObject([{ subject: {}, data: { settings: wish } }])

    const off = { rules: { 'access-refused': { enabled: false } } }
    const shown = (await change(off)).body
    expect(shown.settings).toEqual({ dryRun: false, responsesPerHour: 5, slowMinutes: 60, ...off })
    const rule = shown.rules.find(({ name }: { name: string }) => name === 'access-refused')
    expect(rule).toMatchObject({ isEnabled: false, threshold: 5, response: 'none' })
    expect(await changes()).toHaveLength(told + 2)
  })

  test('hold for what the monitor finds from then on', async () => {
    await monitor.watch()
    await change({ rules: { 'confirmations-failed': { threshold: 1, severity: 'critical' } } })
    await monitor.see(() => failedConfirmation(monitor.organizationId, newId()), 1)
    expect(await monitor.incidents()).toMatchObject([{ count: 1, severity: 'critical' }])
  })

  test('of many changes at once are those of one, and the log has them in their order', async () => {
    const told = (await changes()).length
    const wishes = Array.from({ length: 6 }, (_, n) => ({ ...monitorWish(), responsesPerHour: n }))
    for (const { status } of await Promise.all(wishes.map((wish) => change(wish)))) expect(status).toBe(200)
    const events = (await changes()).slice(told)
    expect(events).toHaveLength(6)
    expect(events.at(-1)?.data['settings']).toEqual((await show()).body.settings)
    const same = monitorWish()
    await Promise.all(Array.from({ length: 6 }, () => change(same)))
    expect((await changes()).slice(told + 6)).toMatchObject([{ data: { settings: same } }])
  })

  test('are for an admin to change, and each organization has its own', async () => {
    await change(monitorWish())
    const other = await makeTenant(monitor.service, newId())
    expect((await show(other.adminToken)).body).toMatchObject({ changedAt: null, settings: { rules: {} } })
    const theirs = monitorWish()
    await change(theirs, other.adminToken)
    expect((await show()).body.settings).not.toEqual(theirs)
    const { token } = await makeApiToken(monitor.service, ['operator'])
    expect((await show(token)).status).toBe(200)
    expectRefusal(await change(monitorWish(), token), 403, 'forbidden')
  })

  test.each<[string, object, string]>([
    [
      'a response to what anybody on the network can cause',
      rule('confirmations-failed', { response: 'suspend' }),
      'rules',
    ],
    ['a rule that there is none of', rule('everything', {}), 'rules.everything'],
    [
      'a response that there is none of',
      rule('access-refused', { response: 'revoke' }),
      'rules.access-refused.response',
    ],
    ['a threshold of nothing', rule('access-refused', { threshold: 0 }), 'rules.access-refused.threshold'],
    [
      'a window longer than a day',
      rule('access-refused', { windowSeconds: 86_401 }),
      'rules.access-refused.windowSeconds',
    ],
    ['a window for what is counted for life', rule('identity-key-worn', { windowSeconds: 3_600 }), 'rules'],
    ['a member that is not known', rule('access-refused', { limit: 1 }), 'rules.access-refused.limit'],
    ['more responses than there may be', { responsesPerHour: 1_001 }, 'responsesPerHour'],
    ['a device slowed for longer than a day', { slowMinutes: 1_441 }, 'slowMinutes'],
    ['a dry run that is none', { dryRun: 'yes' }, 'dryRun'],
  ])('refuse %s, and nothing is stored', async (_what, body, field) => {
    const before = await databaseContents(monitor.service)
    expectRefusal(await change(body), 400, 'malformed', field)
    expect(await databaseContents(monitor.service)).toEqual(before)
  })

  test('that somebody wrote to the database and that are none are said to be so, and a change mends them', async () => {
    await monitor.configure({ rules: { everything: {} } })
    expect((await show()).body).toMatchObject({ isReadable: false, settings: { dryRun: false, rules: {} } })
    expect((await change({})).body).toMatchObject({ isReadable: true })
  })
})

function rule(name: string, settings: object): object {
  return { rules: { [name]: settings } }
}

describe('threat scores', () => {
  const list = (query = '', token = monitor.service.adminToken) =>
    call(monitor.service, 'GET', `/v1/threat-scores${query}`, { token })
  const score = (deviceId: string, value: number, hoursAgo: number, of = monitor.organizationId) =>
    monitor.sql('insert into threat_score values ($1, $2, $3, $4)', [
      of,
      deviceId,
      value,
      new Date(monitor.service.time.now - hoursAgo * 3_600_000),
    ])

  test('are of now: a device that nothing was heard of has half an hour later, and less than 1 is nothing', async () => {
    const { deviceId } = await enterService(monitor.service)
    const [fresh, gone] = [newId(), newId()]
    await score(deviceId, 400, 3)
    await score(fresh, 60, 0)
    await score(gone, 15, 4)
    const { items, nextCursor } = (await list()).body
    expect(nextCursor).toBeNull()
    expect(items).toMatchObject([
      { deviceId: fresh, name: null, status: null, score: 60, scoredAt: monitor.service.time.now },
      {
        deviceId,
        name: expect.any(String),
        status: 'ACTIVE',
        score: 50,
        scoredAt: monitor.service.time.now - 3 * 3_600_000,
      },
    ])
    monitor.service.time.now += 3_600_000
    const later = (await list('?limit=1')).body.items
    expect(later).toMatchObject([{ deviceId: fresh, score: 30 }])
  })

  test.each([60, 20_000])(
    'are nothing after %i days in which nothing was heard, and rise from there again',
    async (days) => {
      const device = newId()
      await monitor.watch()
      await score(device, 400, 24 * days)
      expect((await list()).body.items).toEqual([])
      await monitor.see(() => failedConfirmation(monitor.organizationId, device), 1)
      expect((await list()).body.items).toMatchObject([{ deviceId: device, score: 10 }])
    },
  )

  test('rise with what the monitor counts, and are an organization’s own', async () => {
    await monitor.watch()
    const other = await makeTenant(monitor.service, newId())
    const [device, theirs] = [newId(), newId()]
    await monitor.watch([
      ...monitor.series(() => failedConfirmation(monitor.organizationId, device), 2, 0),
      ...monitor.series(() => failedConfirmation(other.organizationId, theirs), 1),
    ])
    expect((await list()).body.items).toMatchObject([{ deviceId: device, score: 20 }])
    expect((await list('', other.adminToken)).body.items).toMatchObject([{ deviceId: theirs, score: 10 }])
    expectRefusal(await list('?limit=0'), 400, 'malformed', 'limit')
    expectRefusal(await list('?cursor=x'), 400, 'malformed', 'cursor')
  })
})
