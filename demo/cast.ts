import type { QflareAttestationInputs } from '../client/attestation-inputs.ts'
import type { QflareAttestations } from '../client/attestations.ts'
import type { QflareAuditor } from '../client/auditor.ts'
import {
  openAttestationsOf,
  openAuditorOf,
  openFederationsOf,
  openIncidentsOf,
  openInputsOf,
  openOperatorOf,
  type ServerFlags,
} from '../client/command/settings.ts'
import type { QflareFederations } from '../client/federations.ts'
import type { QflareIncidents } from '../client/incidents.ts'
import type { QflareOperator } from '../client/operator.ts'
import type { Server } from './fleet.ts'

/** Who acts beside the fleet, all with the one API token of the operator who shows the demo. */
export interface Cast {
  server: Server
  operator: QflareOperator
  inputs: QflareAttestationInputs
  attestations: QflareAttestations
  federations: QflareFederations
  incidents: QflareIncidents
  auditor: QflareAuditor
}

/** Exit code 4 when there is no API token. */
export async function openCast(server: Server, values: ServerFlags): Promise<Cast> {
  return {
    server,
    operator: await openOperatorOf(values),
    inputs: await openInputsOf(values),
    attestations: await openAttestationsOf(values),
    federations: await openFederationsOf(values),
    incidents: await openIncidentsOf(values),
    auditor: await openAuditorOf(values),
  }
}
