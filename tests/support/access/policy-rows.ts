import { newId } from '../../../runtime/ids.ts'
import { createPolicy, noneDocument } from '../policies.ts'
import { operators, type Row } from './outcomes.ts'
import type { AccessWorld } from './world.ts'

/** Who may call what of appraisal policies. */
export function policyRows(world: AccessWorld): Record<string, Row> {
  return {
    'POST /v1/policies': { body: () => ({ name: newId(), policy: noneDocument }), outcomes: operators(201, 201) },
    'GET /v1/policies': { outcomes: operators(200, 200) },
    'GET /v1/policies/:name': {
      path: async () => `/v1/policies/${(await createPolicy(world.service, newId())).id.split('@')[0]}`,
      outcomes: operators(200, 404),
    },
  }
}
