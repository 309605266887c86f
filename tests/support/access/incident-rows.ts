import { addIncident, monitorWish } from '../incidents.ts'
import { admins, operators, type Row } from './outcomes.ts'
import type { AccessWorld } from './world.ts'

/** Who may call what of incidents and of the monitor that finds them. */
export function incidentRows(world: AccessWorld): Record<string, Row> {
  const incident =
    (rest = '') =>
    async () =>
      `/v1/incidents/${await addIncident(world.service)}${rest}`
  return {
    'GET /v1/incidents': { outcomes: operators(200, 200) },
    'GET /v1/incidents/:id': { path: incident(), outcomes: operators(200, 404) },
    'GET /v1/incidents/:id/devices': { path: incident('/devices'), outcomes: operators(200, 404) },
    'POST /v1/incidents/:id/acknowledge': {
      path: incident('/acknowledge'),
      body: {},
      outcomes: operators(200, 404),
    },
    'POST /v1/incidents/:id/resolve': { path: incident('/resolve'), body: {}, outcomes: operators(200, 404) },
    'GET /v1/monitor-settings': { outcomes: operators(200, 200) },
    'PUT /v1/monitor-settings': { body: () => monitorWish(), outcomes: admins(200, 200) },
    'GET /v1/threat-scores': { outcomes: operators(200, 200) },
  }
}
