import { z } from 'zod'
import { auditSeverities } from '../../protocol/log/audit-event-types.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import { decimal, pageOf, pageQuery } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { AuditLog, IndexedEvent } from '../services/audit-log.ts'
import type { ExportAuditLog } from '../services/export-audit-log.ts'
import { parseId } from './ids.ts'

const time = { description: 'milliseconds since the Unix epoch', type: 'integer' }

const eventQuery = z.strictObject({
  type: z
    .string()
    .regex(/^[a-z_]+\.[a-z_]+$/, 'Not a type of event.')
    .max(64)
    .optional()
    .meta({ description: 'as in docs/audit-events.md' }),
  severity: z.enum(auditSeverities).optional(),
  actor: uuid.optional().meta({ description: 'the id of who did it' }),
  device: uuid.optional().meta({ description: 'the device that it is about' }),
  from: decimal.optional().meta(time),
  to: decimal.optional().meta({ ...time, description: `${time.description}; this time itself is outside` }),
  order: z.enum(['newest', 'oldest']).default('newest').meta({ description: 'which comes first' }),
  limit: pageQuery.limit,
  cursor: decimal.optional().meta({ description: 'the index behind which to go on', type: 'integer' }),
})

const indexedEvent = z
  .strictObject({
    index: z.int().min(0).meta({ description: 'its place in the log' }),
    event: z
      .looseObject({
        v: z.literal(1),
        id: uuid,
        at: timestamp,
        organizationId: uuid,
        actor: z.strictObject({ type: z.string(), id: uuid }),
        type: z.string(),
        severity: z.string(),
        subject: z.looseObject({}),
        data: z.looseObject({}),
        requestId: uuid,
        salt: z.string(),
      })
      .meta({ description: 'exactly as it was hashed' }),
  })
  .meta({ id: 'IndexedEvent' })

/** What was hashed is given out as it is, and described as it should be. */
const toJson = (event: IndexedEvent) => event as z.input<typeof indexedEvent>

const exportQuery = z.strictObject({
  from: decimal.default(0).meta({ description: 'the first index', type: 'integer' }),
  to: decimal
    .optional()
    .meta({ description: 'the index behind the last; the published size without it', type: 'integer' }),
})

/** For auditors: events of their organization and of the service itself. */
export function auditEventRoutes(auditLog: AuditLog, exportAuditLog: ExportAuditLog): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/audit/events',
      access: 'auditor',
      summary: 'List events of the audit log',
      query: eventQuery,
      answers: { 200: { description: 'A page of events.', body: pageOf(indexedEvent) } },
      async answer({ caller, query }) {
        const { type, severity, actor, device, from, to, order, limit, cursor } = query
        const events = await auditLog.listEvents(caller, {
          type,
          severity,
          actorId: actor,
          deviceId: device,
          from,
          to,
          order,
          limit: limit + 1,
          after: cursor,
        })
        const items = events.slice(0, limit).map(toJson)
        const last = items.at(-1)
        const nextCursor = events.length > limit && last !== undefined ? String(last.index) : null
        return { status: 200, body: { items, nextCursor } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/audit/events/:id',
      access: 'auditor',
      summary: 'Show an event',
      answers: { 200: { description: 'The event.', body: indexedEvent } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await auditLog.getEvent(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/audit/events/:id/proof',
      access: 'auditor',
      summary: 'Prove that an event is in the log (C2SP tlog-proof)',
      answers: { 200: { description: 'A c2sp.org/tlog-proof@v1.', contentType: 'text/plain' } },
      async answer({ caller, params }) {
        const headers = { 'content-type': 'text/plain; charset=utf-8' }
        return { status: 200, headers, body: await auditLog.proveEvent(caller, parseId(params)) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/audit/export',
      access: 'auditor',
      summary: 'Export the log as lines of JSON that can be verified offline',
      query: exportQuery,
      answers: { 200: { description: 'Lines of JSON, streamed.', contentType: 'application/x-ndjson' } },
      errors: ['overloaded'],
      async answer({ caller, query }) {
        const headers = { 'content-type': 'application/x-ndjson' }
        const { lines, cutOff } = await exportAuditLog(caller, { from: query.from, to: query.to })
        return { status: 200, headers, body: lines, cutOff }
      },
    }),
  ]
}
