import { expect, test } from 'vitest'
import { verifyIncidentNotice } from '../../client/verify-incident-notice.ts'
import { insertIncidentNotices } from '../../database/repositories/incident-notices.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents } from '../support/audit.ts'
import { failedConfirmation, quarantinedDevice, useMonitor, watch } from '../support/monitor.ts'
import {
  expectedSignature,
  makeIncidents,
  makeSecret,
  noticePartsOf,
  send,
  startReceiver,
  storedNotices,
} from '../support/notice-receiver.ts'
import { enterService } from '../support/rounds.ts'
import { makeTenant } from '../support/tenants.ts'

/** What the receiver of notices is told of incidents. Its failures: incident-notices-failures.test.ts. */

const monitor = useMonitor()
const secret = makeSecret()

async function open(keys = [secret.key]) {
  const receiver = await startReceiver()
  return { receiver, parts: noticePartsOf(monitor.service, { url: receiver.url, keys, timeoutMs: 10_000 }) }
}

test('an incident is told of once, with a signature that stands up to the library and to the standard', async () => {
  const { receiver, parts } = await open()
  const { deviceId } = await enterService(monitor.service)
  await watch(
    monitor.service,
    parts,
    monitor.series(() => failedConfirmation(monitor.organizationId, deviceId), 3),
  )
  expect([await send(parts), await send(parts)]).toEqual([1, 0])
  expect(receiver.received).toHaveLength(1)
  const [request] = receiver.received
  if (request === undefined) throw new Error('There is no request.')
  expect(request.headers).toMatchObject({
    'content-type': 'application/json',
    'webhook-timestamp': String(Math.floor(monitor.service.time.now / 1000)),
    'webhook-signature': expectedSignature(request, secret.key),
  })
  const [incident] = await monitor.incidents()
  const notice = await verifyIncidentNotice(secret.text, request.headers, request.body, monitor.service.time.now)
  expect(notice).toEqual({
    id: request.headers['webhook-id'],
    type: 'incident.opened',
    timestamp: new Date(monitor.service.time.now).toISOString(),
    data: {
      incidentId: incident?.id,
      organizationId: monitor.organizationId,
      rule: 'confirmations-failed',
      about: `device ${deviceId}`,
      severity: 'warning',
      count: 3,
      devices: 1,
      openedAt: monitor.service.time.now,
      path: `/v1/incidents/${incident?.id}`,
    },
  })
  const { rows } = await monitor.sql('select name from principal where id = $1', [deviceId])
  expect(request.body).not.toContain(rows[0].name)
  expect(await storedNotices(monitor.service)).toEqual([])
  expect(await monitor.outbox('incident.notice_delivered')).toMatchObject([
    {
      organizationId: monitor.organizationId,
      actor: { type: 'service' },
      subject: { incidentId: incident?.id },
      data: { notice: 'incident.opened', attempts: 1 },
    },
  ])
  expect(await parts.metrics.registry.metrics()).toContain('qflare_incident_notices_total{result="delivered"} 1')
})

test('one that becomes more pressing is told of again, and what only adds to it is not', async () => {
  const { receiver, parts } = await open()
  for (const devices of [4, 1, 3]) {
    await watch(
      monitor.service,
      parts,
      monitor.series(() => quarantinedDevice(monitor.organizationId, newId()), devices),
    )
    await send(parts)
  }
  const told = receiver.received.map(({ body }) => JSON.parse(body))
  expect(told).toMatchObject([
    { type: 'incident.opened', data: { severity: 'warning', devices: 4 } },
    { type: 'incident.escalated', data: { severity: 'critical', devices: 5 } },
  ])
  expect(told[0].data.incidentId).toBe(told[1].data.incidentId)
  expect(new Set(receiver.ids()).size).toBe(2)
})

test('while a receiver goes over to another secret both sign, and it may know either', async () => {
  const next = makeSecret()
  const { receiver, parts } = await open([next.key, secret.key])
  await makeIncidents(monitor.service, parts, monitor.organizationId)
  await send(parts)
  const [request] = receiver.received
  if (request === undefined) throw new Error('There is no request.')
  const signatures = [next, secret].map(({ key }) => expectedSignature(request, key))
  expect(request.headers['webhook-signature']).toBe(signatures.join(' '))
  for (const { text } of [next, secret]) {
    const notice = await verifyIncidentNotice(text, request.headers, request.body, monitor.service.time.now)
    expect(notice.type).toBe('incident.opened')
  }
})

test('without a receiver nothing is kept for one', async () => {
  await makeIncidents(monitor.service, noticePartsOf(monitor.service, undefined), monitor.organizationId)
  expect(await monitor.incidents()).toHaveLength(1)
  expect(await storedNotices(monitor.service)).toEqual([])
})

test('what is rolled back is not told of, and what is stored is, by whoever comes next', async () => {
  const { receiver, parts } = await open()
  const { sql } = monitor.service.database
  await addEvents(
    monitor.service,
    monitor.series(() => failedConfirmation(monitor.organizationId, newId()), 1),
  )
  const device = newId()
  await addEvents(
    monitor.service,
    monitor.series(() => failedConfirmation(monitor.organizationId, device), 3),
  )
  await monitor.service.log.sequence()
  // Fails the last statement of the transaction.
  await sql.query(
    `alter table audit_outbox add constraint hindered check (organization_id <> '${monitor.organizationId}') not valid`,
  )
  await expect(monitorEvents(parts, monitor.service.time.now)).rejects.toThrow('could not be judged')
  await sql.query('alter table audit_outbox drop constraint hindered')
  expect(await storedNotices(monitor.service)).toEqual([])
  expect([await send(parts), receiver.received]).toEqual([0, []])
  await monitorEvents(parts, monitor.service.time.now)
  expect(await storedNotices(monitor.service)).toMatchObject([{ type: 'incident.opened', attempts: 0, dueInMs: 0 }])
  const { rows } = await sql.query(
    'select i.xmin = n.xmin as is_one from incident i join incident_notice n on n.incident_id = i.id',
  )
  expect(rows, 'one transaction').toEqual([{ is_one: true }])
  // A process of its own: the one that found it was killed, let us say.
  expect(await send(noticePartsOf(monitor.service, parts.incidentWebhook))).toBe(1)
})

test('each names whose incident it is, and is in the log of that organization alone', async () => {
  const { receiver, parts } = await open()
  const other = await makeTenant(monitor.service, newId())
  await makeIncidents(monitor.service, parts, monitor.organizationId)
  await makeIncidents(monitor.service, parts, other.organizationId)
  const draft: EventDraft = {
    organizationId: NIL_UUID,
    actor: { type: 'service', id: NIL_UUID },
    type: 'audit_log.difference_found',
    subject: {},
    data: { logSize: 7, count: 1, index: 3, what: 'has another hash' },
    requestId: newId(),
  }
  await watch(monitor.service, parts, [{ draft, at: monitor.service.time.now }])
  await send(parts)
  const incidents = await monitor.incidents()
  const told = receiver.received.map(({ body }) => JSON.parse(body).data)
  const named = (rows: { id: string; owner: string }[]) => rows.map(({ id, owner }) => `${owner} ${id}`).toSorted()
  const expected = named(incidents.map(({ id, organization_id: owner }) => ({ id, owner })))
  expect(named(told.map(({ incidentId: id, organizationId: owner }) => ({ id, owner })))).toEqual(expected)
  const events = (await monitor.outbox('incident.notice_delivered')) as {
    organizationId: string
    subject: { incidentId: string }
  }[]
  expect(
    named(events.map(({ organizationId: owner, subject: { incidentId: id } }) => ({ id, owner }))).filter((line) =>
      expected.includes(line),
    ),
  ).toEqual(expected)
})

test('an organization with many keeps nobody else’s waiting for all of them', async () => {
  const { receiver, parts } = await open()
  const other = await makeTenant(monitor.service, newId())
  await makeIncidents(monitor.service, parts, monitor.organizationId, 40)
  await makeIncidents(monitor.service, parts, other.organizationId)
  await send(parts)
  const owners = receiver.received.map(({ body }) => JSON.parse(body).data.organizationId)
  expect(owners).toHaveLength(41)
  // Eight are on the way at once.
  expect(owners.indexOf(other.organizationId)).toBeLessThan(10)
})

test('no transaction is open while the receiver takes its time', async () => {
  const { receiver, parts } = await open()
  await makeIncidents(monitor.service, parts, monitor.organizationId)
  const openTransactions: number[] = []
  receiver.answerWith((response) => {
    void monitor.service.database.sql
      .query(
        `select count(*)::int from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
          and state in ('active', 'idle in transaction') and backend_type = 'client backend'`,
      )
      .then(({ rows }) => {
        openTransactions.push(rows[0].count)
        response.writeHead(204).end()
      })
  })
  expect(await send(parts)).toBe(1)
  expect(openTransactions).toEqual([0])
})

test('of an outage of the monitor all are kept, however many it has found then', async () => {
  const { organizationId, service } = monitor
  await makeIncidents(service, noticePartsOf(service, undefined), organizationId)
  const [incident] = await monitor.incidents()
  const notices = Array.from({ length: 10_000 }, () => ({
    id: newId(),
    incidentId: incident?.id ?? '',
    type: 'incident.opened' as const,
    body: '{}',
  }))
  await service.database
    .open('qflare_worker', 1)
    .withOrganization(organizationId, (tx) => insertIncidentNotices(tx, organizationId, notices, service.time.now))
  expect(await storedNotices(service)).toHaveLength(notices.length)
})
