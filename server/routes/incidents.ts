import { z } from 'zod'
import { incidentStatuses, MAX_INCIDENT_EVENTS } from '../../protocol/monitor/incident.ts'
import {
  incidentSeverities,
  type MonitorRuleName,
  monitorRuleNames,
  responseNames,
} from '../../protocol/monitor/rules.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Incidents, OwnedIncident } from '../services/incidents.ts'
import { parseId } from './ids.ts'

const facts = {
  id: uuid,
  organizationId: uuid.meta({ description: 'the nil UUID is the service itself' }),
  rule: z.string(),
  about: z.string().meta({ description: 'what the rule counted together' }),
  severity: z.enum(incidentSeverities),
  status: z.enum(incidentStatuses),
  openedAt: timestamp,
  lastAt: timestamp.meta({ description: 'of its newest event' }),
  count: z.int().meta({ description: 'how much its rule has counted' }),
  devices: z.int().meta({ description: 'how many devices are in it' }),
  acknowledgedAt: timestamp.nullable(),
  acknowledgedBy: uuid.nullable().meta({ description: 'the API token' }),
  resolvedAt: timestamp.nullable(),
  resolvedBy: uuid.nullable().meta({ description: 'the API token' }),
}
const incidentJson = z.strictObject(facts).meta({ id: 'Incident' })

const event = z.strictObject({ index: z.int(), eventId: uuid, at: timestamp })
const wholeIncidentJson = z
  .strictObject({
    ...facts,
    events: z
      .array(event)
      .max(MAX_INCIDENT_EVENTS)
      .meta({ description: 'its evidence: the first entries of the log, each to be had with its proof by its id' }),
  })
  .meta({ id: 'WholeIncident' })

const incidentDeviceJson = z
  .strictObject({
    deviceId: uuid,
    name: z.string().nullable(),
    status: z.string().nullable().meta({ description: 'of the device now' }),
    response: z.enum(responseNames).exclude(['none']).nullable().meta({ description: 'what the service did' }),
    respondedAt: timestamp.nullable(),
    withheld: z.enum(['dry_run', 'limit']).nullable().meta({ description: 'why it did not do what it should have' }),
  })
  .meta({ id: 'IncidentDevice' })

const listQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(incidentStatuses).optional(),
  severity: z.enum(incidentSeverities).optional(),
  rule: z.enum(monitorRuleNames as [MonitorRuleName, ...MonitorRuleName[]]).optional(),
  deviceId: uuid.optional().meta({ description: 'in which this device is' }),
})
const deviceQuery = z.strictObject(pageQuery)
const empty = z.strictObject({})

export function incidentRoutes(incidents: Incidents): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/incidents',
      access: 'operator',
      summary: 'List what the security monitor found, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of incidents.', body: pageOf(incidentJson) } },
      async answer({ caller, query: { limit, cursor, ...filter } }) {
        const { status, severity, rule, deviceId } = filter
        const asked = { limit: limit + 1, beforeId: cursor, status, severity, rule, deviceId }
        const page = toPage(await incidents.list(caller, asked), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/incidents/:id',
      access: 'operator',
      summary: 'Show an incident with its evidence',
      answers: { 200: { description: 'The incident.', body: wholeIncidentJson } },
      async answer({ caller, params }) {
        const incident = await incidents.get(caller, parseId(params))
        return { status: 200, body: { ...toJson(incident), events: incident.events } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/incidents/:id/devices',
      access: 'operator',
      summary: 'List the devices in an incident, with what the service did with each',
      query: deviceQuery,
      answers: { 200: { description: 'A page of devices.', body: pageOf(incidentDeviceJson) } },
      async answer({ caller, params, query: { limit, cursor } }) {
        const found = await incidents.listDevices(caller, parseId(params), { limit: limit + 1, afterId: cursor })
        const page = toPage(
          found.map((device) => ({ ...device, id: device.deviceId })),
          limit,
        )
        const items = page.items.map(({ deviceId, ...device }) => ({
          deviceId,
          name: device.name ?? null,
          status: device.status ?? null,
          response: device.response ?? null,
          respondedAt: device.respondedAt ?? null,
          withheld: device.withheld ?? null,
        }))
        return { status: 200, body: { ...page, items } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/incidents/:id/acknowledge',
      access: 'operator',
      summary: 'Say that an incident is being looked at',
      body: empty,
      answers: {
        200: { description: 'The incident, ACKNOWLEDGED. Repeating it changes nothing.', body: incidentJson },
      },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toJson(await incidents.acknowledge(caller, parseId(params), requestId)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/incidents/:id/resolve',
      access: 'operator',
      summary: 'Say that an incident is over: the same opens a new one',
      body: empty,
      answers: { 200: { description: 'The incident, RESOLVED. Repeating it changes nothing.', body: incidentJson } },
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toJson(await incidents.resolve(caller, parseId(params), requestId)) }
      },
    }),
  ]
}

function toJson(incident: OwnedIncident): z.input<typeof incidentJson> {
  return {
    id: incident.id,
    organizationId: incident.organizationId,
    rule: incident.rule,
    about: incident.subject,
    severity: incident.severity,
    status: incident.status,
    openedAt: incident.openedAt,
    lastAt: incident.lastAt,
    count: incident.count,
    devices: incident.devices,
    acknowledgedAt: incident.acknowledgedAt ?? null,
    acknowledgedBy: incident.acknowledgedBy ?? null,
    resolvedAt: incident.resolvedAt ?? null,
    resolvedBy: incident.resolvedBy ?? null,
  }
}
