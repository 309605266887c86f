import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { PruneIncidentsParts } from '../../workers/jobs/prune-incidents.ts'
import { pruneIncidents } from '../../workers/jobs/prune-incidents.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { firstOrganization } from '../support/audit.ts'
import { addIncident } from '../support/incidents.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

const DAY_MS = 86_400_000

let service: TestService
let tenant: Tenant
let parts: PruneIncidentsParts
let deviceId: string
/** When what is resolved now may go. */
let due: number

beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'other')
  const database = service.database.open('qflare_worker')
  parts = { database, writeEvent: service.log.options.writeEvent, incidentRetentionDays: 30 }
  deviceId = (await enrollTestDevice(service)).deviceId
  due = service.time.now + 30 * DAY_MS + 1
})
afterAll(() => service.close())
beforeEach(async () => {
  const { sql } = service.database
  await sql.query('truncate incident, incident_event, incident_device, incident_notice, monitor_signal, threat_score')
  await sql.query('truncate audit_outbox')
})

const resolved = { status: 'RESOLVED' }

async function left(table = 'incident'): Promise<number> {
  return Number((await service.database.sql.query(`select count(*) from ${table}`)).rows[0].count)
}

async function events(): Promise<[string, number][]> {
  const { rows } = await service.database.sql.query(`select organization_id as of, entry::jsonb -> 'data' as data
    from audit_outbox where entry::jsonb ->> 'type' = 'incidents.pruned' order by seq`)
  return rows.map(({ of, data }) => [of, data.incidents])
}

async function addNotice(incidentId: string): Promise<void> {
  await service.database.sql.query(
    `insert into incident_notice (organization_id, id, incident_id, type, body, created_at, next_attempt_at)
      select organization_id, gen_random_uuid(), id, 'incident.opened', '{}', now(), now() from incident where id = $1`,
    [incidentId],
  )
}

test('an incident goes with all that is of it when it was resolved longer ago than the retention, and not a millisecond before', async () => {
  const id = await addIncident(service, { ...resolved, devices: [deviceId] })
  await addNotice(id)
  expect(await pruneIncidents(parts, due - 1)).toBe(0)
  expect((await call(service, 'GET', `/v1/incidents/${id}`, { token: service.adminToken })).status).toBe(200)
  expect(await pruneIncidents(parts, due)).toBe(1)
  for (const table of ['incident', 'incident_event', 'incident_device', 'incident_notice']) {
    expect(await left(table), table).toBe(0)
  }
  expect(await events()).toEqual([[await firstOrganization(service), 1]])
  expectRefusal(await call(service, 'GET', `/v1/incidents/${id}`, { token: service.adminToken }), 404, 'not_found')
})

test('one that nobody has resolved stays for ever, with what is of it, and with what one that goes has too', async () => {
  for (const status of ['OPEN', 'ACKNOWLEDGED'])
    await addNotice(await addIncident(service, { status, devices: [deviceId] }))
  await addIncident(service, { ...resolved, devices: [deviceId] })
  expect(await pruneIncidents(parts, due + 3_650 * DAY_MS)).toBe(1)
  for (const table of ['incident', 'incident_event', 'incident_device', 'incident_notice']) {
    expect(await left(table), table).toBe(2)
  }
})

test('each organization’s go with an event of its own, the service’s too, in many batches, once though two workers do it', async () => {
  const organizationId = await firstOrganization(service)
  for (let i = 0; i < 130; i++) await addIncident(service, resolved)
  for (const of of [tenant.organizationId, NIL_UUID]) await addIncident(service, { ...resolved, organizationId: of })
  const other = { ...parts, database: service.database.open('qflare_worker') }
  const [one, two] = await Promise.all([pruneIncidents(parts, due), pruneIncidents(other, due)])
  expect(one + two).toBe(132)
  expect(await pruneIncidents(parts, due)).toBe(0)
  const sums = new Map<string, number>()
  for (const [of, count] of await events()) sums.set(of, (sums.get(of) ?? 0) + count)
  expect(Object.fromEntries(sums)).toEqual({ [organizationId]: 130, [tenant.organizationId]: 1, [NIL_UUID]: 1 })
})

test('one organization’s retention touches no row of another, whose incident is not over', async () => {
  await addIncident(service, resolved)
  const id = await addIncident(service, { organizationId: tenant.organizationId })
  expect(await pruneIncidents(parts, due)).toBe(1)
  const answer = await call(tenant, 'GET', `/v1/incidents/${id}`, { token: tenant.adminToken })
  expect(answer.body).toMatchObject({ id, status: 'OPEN' })
})

test('nothing of an incident is gone when its event cannot be stored, and the next run takes it', async () => {
  const { sql } = service.database
  await addIncident(service, { ...resolved, devices: [deviceId] })
  await sql.query('revoke insert on audit_outbox from qflare_worker')
  try {
    await expect(pruneIncidents(parts, due)).rejects.toMatchObject({ code: 'event_refused' })
  } finally {
    await sql.query('grant insert on audit_outbox to qflare_worker')
  }
  for (const table of ['incident', 'incident_event', 'incident_device']) expect(await left(table), table).toBe(1)
  expect(await pruneIncidents(parts, due)).toBe(1)
})

test('what was counted of an organization that is quiet since goes too, and what is newer stays', async () => {
  const { sql } = service.database
  const organizationId = await firstOrganization(service)
  for (const at of [due - 31 * DAY_MS, due - 30 * DAY_MS]) {
    await sql.query(`insert into monitor_signal values ($1, 'access-refused', 'd', $2, gen_random_uuid(), $3, 1)`, [
      organizationId,
      at,
      new Date(at),
    ])
    await sql.query('insert into threat_score values ($1, gen_random_uuid(), 5, $2)', [organizationId, new Date(at)])
    await sql.query(`insert into device_network values ($1, gen_random_uuid(), 'AAAAAAAAAAA', $2)`, [
      organizationId,
      new Date(at),
    ])
  }
  await pruneIncidents(parts, due)
  for (const table of ['monitor_signal', 'threat_score', 'device_network']) expect(await left(table), table).toBe(1)
})
