import { call } from '../api.ts'
import { auditors, everyone, type Row, serviceAdmins } from './outcomes.ts'
import type { AccessWorld } from './world.ts'

/** Who may call what of jobs, the root of trust and the audit log. */
export function serviceRows(world: AccessWorld): Record<string, Row> {
  const eventPath = async () => {
    const { rows } = await world.service.database.sql.query(
      'select event_id from audit_event_id join organization o on o.id = organization_id where o.name = $1 limit 1',
      ['default'],
    )
    return `/v1/audit/events/${rows[0].event_id}`
  }
  const newestTrust = async () => (await call(world.service, 'GET', '/v1/trust')).body.items.at(-1)

  return {
    'GET /v1/jobs': { outcomes: serviceAdmins(200) },
    'GET /v1/jobs/failed': { outcomes: serviceAdmins(200) },
    'POST /v1/jobs/failed/:run/retry': {
      path: () => '/v1/jobs/failed/long:1/retry',
      body: {},
      outcomes: serviceAdmins(202),
    },
    'POST /v1/jobs/:name/run': { path: () => '/v1/jobs/idle/run', body: {}, outcomes: serviceAdmins(202) },
    'GET /v1/trust/draft': { outcomes: serviceAdmins(200) },
    'POST /v1/trust': { body: newestTrust, outcomes: serviceAdmins(200) },
    'GET /v1/audit/events': { outcomes: auditors(200, 200) },
    'GET /v1/audit/events/:id': { path: eventPath, outcomes: auditors(200, 404) },
    'GET /v1/audit/events/:id/proof': { path: async () => `${await eventPath()}/proof`, outcomes: auditors(200, 404) },
    'GET /v1/audit/export': { outcomes: auditors(200, 200) },
    'GET /v1/audit/checkpoint': { outcomes: everyone(200) },
    'GET /v1/audit/consistency': { path: () => '/v1/audit/consistency?from=1', outcomes: everyone(200) },
    'GET /v1/audit/tile/*path': { path: () => '/v1/audit/tile/0/000.p/1', outcomes: everyone(200) },
  }
}
