import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { addIncident } from '../support/incidents.ts'
import { failedConfirmation, quarantinedDevice, useMonitor } from '../support/monitor.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { enterService } from '../support/rounds.ts'
import { eventsOf, makeApiToken, makeTenant } from '../support/tenants.ts'

/** What people see of incidents, and what they say of one. */

const monitor = useMonitor()
const get = (path = '', token = monitor.service.adminToken) =>
  call(monitor.service, 'GET', `/v1/incidents${path}`, { token })
const mark = (id: string, action: 'acknowledge' | 'resolve', token = monitor.service.adminToken) =>
  call(monitor.service, 'POST', `/v1/incidents/${id}/${action}`, { token, body: {} })
const idsOf = async (query = '', token = monitor.service.adminToken): Promise<string[]> =>
  (await get(query, token)).body.items.map(({ id }: { id: string }) => id)
const eventsAbout = async (id: string, type: string, of = monitor.organizationId) =>
  (await eventsOf(monitor.service, of, type)).filter(({ subject }) => subject['incidentId'] === id)

describe('an incident', () => {
  test('that the monitor opened is shown with evidence, each piece of which is proved by the log', async () => {
    const device = newId()
    const signals = monitor.series(() => failedConfirmation(monitor.organizationId, device), 3)
    await monitor.watch(signals)
    const [id] = await idsOf()
    const { body } = await get(`/${id}`)
    expect(body).toMatchObject({
      id,
      organizationId: monitor.organizationId,
      rule: 'confirmations-failed',
      about: `device ${device}`,
      severity: 'warning',
      status: 'OPEN',
      openedAt: monitor.service.time.now,
      lastAt: monitor.service.time.now,
      count: 3,
      devices: 1,
      acknowledgedAt: null,
      acknowledgedBy: null,
      resolvedAt: null,
      resolvedBy: null,
    })
    expect(body.events.map(({ at }: { at: number }) => at)).toEqual(signals.map(({ at }) => at))
    for (const { eventId, index } of body.events) {
      const shown = await call(monitor.service, 'GET', `/v1/audit/events/${eventId}`, {
        token: monitor.service.adminToken,
      })
      expect(shown.body).toMatchObject({ index, event: { type: 'session.failed', subject: { deviceId: device } } })
      const proof = await call(monitor.service, 'GET', `/v1/audit/events/${eventId}/proof`, {
        token: monitor.service.adminToken,
      })
      expect(proof.body).toContain(`c2sp.org/tlog-proof@v1\nindex ${index}\n`)
    }
  })

  test('shows what was done with which device, and how each is now', async () => {
    await monitor.configure({
      responsesPerHour: 1,
      rules: { 'attestation-failed': { response: 'suspend' } },
    })
    const devices = [
      (await enterService(monitor.service)).deviceId,
      (await enterService(monitor.service)).deviceId,
    ].toSorted()
    const gone = newId()
    const at = monitor.service.time.now
    await monitor.watch(
      [...devices, gone].map((deviceId) => ({ draft: quarantinedDevice(monitor.organizationId, deviceId), at })),
    )
    const [id] = await idsOf()
    const [first, second] = devices
    const { items } = (await get(`/${id}/devices`)).body
    expect(items).toHaveLength(3)
    expect(items).toEqual(
      expect.arrayContaining([
        {
          deviceId: first,
          name: expect.any(String),
          status: 'SUSPENDED',
          response: 'suspend',
          respondedAt: at,
          withheld: null,
        },
        {
          deviceId: second,
          name: expect.any(String),
          status: 'ACTIVE',
          response: null,
          respondedAt: null,
          withheld: 'limit',
        },
        { deviceId: gone, name: null, status: null, response: null, respondedAt: null, withheld: null },
      ]),
    )
    expect(items).toEqual(
      items.toSorted((a: (typeof items)[0], b: (typeof items)[0]) => (a.deviceId < b.deviceId ? -1 : 1)),
    )
    const undone = await call(monitor.service, 'POST', `/v1/devices/${first}/resume`, {
      token: monitor.service.adminToken,
      body: {},
    })
    expect(undone.body.status).toBe('ACTIVE')
  })

  test('of many devices shows them page by page', async () => {
    const devices = Array.from({ length: 5 }, () => newId()).toSorted()
    const id = await addIncident(monitor.service, { devices })
    const seen: string[] = []
    let cursor = ''
    do {
      const { items, nextCursor } = (await get(`/${id}/devices?limit=2${cursor}`)).body
      seen.push(...items.map(({ deviceId }: { deviceId: string }) => deviceId))
      cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`
    } while (cursor !== '')
    expect(seen).toEqual(devices)
  })

  test('that does not exist is none, and an id that is none names nothing', async () => {
    for (const id of [newId(), 'nothing']) {
      for (const answer of [
        await get(`/${id}`),
        await get(`/${id}/devices`),
        await mark(id, 'acknowledge'),
        await mark(id, 'resolve'),
      ]) {
        expectRefusal(answer, 404, 'not_found')
      }
    }
  })
})

describe('the list', () => {
  test('is of the newest first, from a cursor on, with whatever filters', async () => {
    const device = newId()
    const made: string[] = []
    for (const wish of [
      {},
      { status: 'RESOLVED' as const },
      { severity: 'critical' as const, rule: 'device-impersonated', devices: [device] },
      { status: 'ACKNOWLEDGED' as const, devices: [device, newId()] },
    ]) {
      made.push(await addIncident(monitor.service, wish))
      // Ids of one millisecond are in no order.
      await sleep(2)
    }
    const [open, resolved, critical, acknowledged] = made
    expect(await idsOf()).toEqual(made.toReversed())
    const first = (await get('?limit=3')).body
    expect(first.items).toHaveLength(3)
    expect(await idsOf(`?cursor=${first.nextCursor}`)).toEqual([open])
    expect(await idsOf('?status=OPEN')).toEqual([critical, open])
    expect(await idsOf('?status=RESOLVED')).toEqual([resolved])
    expect(await idsOf('?severity=critical')).toEqual([critical])
    expect(await idsOf('?rule=device-impersonated')).toEqual([critical])
    expect(await idsOf(`?deviceId=${device}`)).toEqual([acknowledged, critical])
    expect(await idsOf(`?deviceId=${device}&status=OPEN`)).toEqual([critical])
    expect(await idsOf(`?deviceId=${newId()}`)).toEqual([])
    for (const [query, field] of [
      ['status=open', 'status'],
      ['severity=info', 'severity'],
      ['rule=none', 'rule'],
      ['deviceId=7', 'deviceId'],
      ['limit=201', 'limit'],
      ['state=OPEN', 'state'],
    ] as const) {
      expectRefusal(await get(`?${query}`), 400, 'malformed', field)
    }
  })
})

describe('of an incident somebody says', () => {
  test('that it is looked at, then that it is over: each once, with who did it first', async () => {
    const id = await addIncident(monitor.service)
    const [one, two] = [
      await makeApiToken(monitor.service, ['operator']),
      await makeApiToken(monitor.service, ['operator']),
    ]
    const at = monitor.service.time.now
    for (const { token } of [one, two]) {
      expect((await mark(id, 'acknowledge', token)).body).toMatchObject({
        status: 'ACKNOWLEDGED',
        acknowledgedAt: at,
        acknowledgedBy: one.id,
      })
    }
    monitor.service.time.now += 1_000
    for (const { token } of [two, one]) {
      expect((await mark(id, 'resolve', token)).body).toMatchObject({
        status: 'RESOLVED',
        acknowledgedBy: one.id,
        resolvedAt: at + 1_000,
        resolvedBy: two.id,
      })
    }
    for (const [type, token] of [
      ['incident.acknowledged', one],
      ['incident.resolved', two],
    ] as const) {
      expect(await eventsAbout(id, type)).toMatchObject([
        { actor: { type: 'api_token', id: token.id }, data: { rule: 'access-refused' } },
      ])
    }
  })

  test('that it is over without that it was looked at, and never the other way round', async () => {
    const id = await addIncident(monitor.service)
    expect((await mark(id, 'resolve')).body).toMatchObject({ status: 'RESOLVED', acknowledgedAt: null })
    const before = await databaseContents(monitor.service)
    expectRefusal(await mark(id, 'acknowledge'), 409, 'session_state')
    expect(await databaseContents(monitor.service)).toEqual(before)
  })

  test('one thing, however many say it at once', async () => {
    const id = await addIncident(monitor.service)
    const tokens = await Promise.all(Array.from({ length: 4 }, () => makeApiToken(monitor.service, ['operator'])))
    const answers = await Promise.all(
      tokens.flatMap(({ token }) => [mark(id, 'acknowledge', token), mark(id, 'resolve', token)]),
    )
    for (const { status } of answers) expect([200, 409]).toContain(status)
    const shown = (await get(`/${id}`)).body
    expect(shown.status).toBe('RESOLVED')
    const resolved = await eventsAbout(id, 'incident.resolved')
    expect(resolved).toMatchObject([{ actor: { id: shown.resolvedBy } }])
    const acknowledged = await eventsAbout(id, 'incident.acknowledged')
    expect(acknowledged.map(({ actor }) => (actor as { id: string }).id)).toEqual(
      shown.acknowledgedBy === null ? [] : [shown.acknowledgedBy],
    )
  })

  test('that it is over, and the same opens a new one, also while it is said', async () => {
    const device = newId()
    const failures = (count: number) => monitor.series(() => failedConfirmation(monitor.organizationId, device), count)
    await monitor.watch(failures(3))
    const [id = ''] = await idsOf()
    await Promise.all([monitor.watch(failures(3)), mark(id, 'resolve')])
    await monitor.watch(failures(3))
    const stored = await monitor.incidents()
    expect(stored.map(({ status }) => status)).toEqual(['RESOLVED', 'OPEN'])
    expect(stored.reduce((sum, { count }) => sum + count, 0)).toBe(9)
  })
})

describe('incidents of the service itself', () => {
  const ofService = { organizationId: NIL_UUID, rule: 'log-differs', subject: 'audit log', severity: 'critical' }

  test('are seen and handled by those who administer the service, in one list with their own', async () => {
    const made = [
      await addIncident(monitor.service),
      await addIncident(monitor.service, ofService),
      await addIncident(monitor.service),
    ]
    const [, id = ''] = made
    expect(await idsOf()).toEqual(made.toReversed())
    const first = (await get('?limit=2')).body
    expect(first.items.map((item: { id: string }) => item.id)).toEqual([made[2], id])
    expect(await idsOf(`?limit=1&cursor=${first.nextCursor}`)).toEqual([made[0]])
    expect((await get(`/${id}`)).body).toMatchObject({ organizationId: NIL_UUID, events: [{ index: 0 }] })
    expect((await get(`/${id}/devices`)).body.items).toEqual([])
    for (let times = 0; times < 2; times++) expect((await mark(id, 'acknowledge')).status).toBe(200)
    expect((await mark(id, 'resolve')).body).toMatchObject({ status: 'RESOLVED', organizationId: NIL_UUID })
    for (const type of ['incident.acknowledged', 'incident.resolved']) {
      expect(await eventsAbout(id, type, NIL_UUID)).toHaveLength(1)
      expect(await eventsAbout(id, type)).toEqual([])
    }
  })

  test('are nobody else’s, not even those of an admin of the same organization', async () => {
    const id = await addIncident(monitor.service, ofService)
    const other = await makeTenant(monitor.service, newId())
    for (const token of [(await makeApiToken(monitor.service, ['admin'])).token, other.adminToken]) {
      expect(await idsOf('', token)).toEqual([])
      for (const answer of [
        await get(`/${id}`, token),
        await get(`/${id}/devices`, token),
        await mark(id, 'acknowledge', token),
        await mark(id, 'resolve', token),
      ]) {
        expectRefusal(answer, 404, 'not_found')
      }
    }
    expect(await monitor.incidents()).toMatchObject([{ status: 'OPEN' }])
  })
})
