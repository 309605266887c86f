import { addAnchor, addCollateral, addReferenceValue, psaWish, referenceWish } from '../attestation-inputs.ts'
import { crlWish } from '../crl.ts'
import { operators, type Row } from './outcomes.ts'
import type { AccessWorld } from './world.ts'

/** Who may call what of trust anchors, collateral and reference values. */
export function inputRows(world: AccessWorld): Record<string, Row> {
  const anchor = async () => `/v1/trust-anchors/${await addAnchor(world.service)}`
  const value = async () => `/v1/reference-values/${await addReferenceValue(world.service)}`
  const collateral = async () => `/v1/collateral/${await addCollateral(world.service)}`
  return {
    'POST /v1/collateral': { body: () => crlWish(), outcomes: operators(201, 201) },
    'GET /v1/collateral': { outcomes: operators(200, 200) },
    'GET /v1/collateral/:id': { path: collateral, outcomes: operators(200, 404) },
    'DELETE /v1/collateral/:id': { path: collateral, outcomes: operators(204, 404) },
    'POST /v1/trust-anchors': { body: () => psaWish(), outcomes: operators(201, 201) },
    'GET /v1/trust-anchors': { outcomes: operators(200, 200) },
    'GET /v1/trust-anchors/:id': { path: anchor, outcomes: operators(200, 404) },
    'DELETE /v1/trust-anchors/:id': { path: anchor, outcomes: operators(204, 404) },
    'POST /v1/reference-values': { body: () => referenceWish(), outcomes: operators(201, 201) },
    'GET /v1/reference-values': { outcomes: operators(200, 200) },
    'GET /v1/reference-values/:id': { path: value, outcomes: operators(200, 404) },
    'DELETE /v1/reference-values/:id': { path: value, outcomes: operators(204, 404) },
  }
}
