import { listReferenceValuesAt } from '../../database/repositories/reference-values.ts'
import { listTrustAnchorsAt } from '../../database/repositories/trust-anchors.ts'
import type { Json } from '../../protocol/encoding.ts'
import { isReferenceValueGenuine, isTrustAnchorGenuine } from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { AttestationInputs } from './appraise-evidence.ts'

export interface AttestationInputParts {
  keyring: Keyring
  logger: Logger
  metrics: Pick<Metrics, 'inputMacMismatches'>
}

/** What organizations trust and expect. An appraisal goes on without what somebody else than an operator put there, and the log says so. */
export function createAttestationInputs({ keyring, logger, metrics }: AttestationInputParts): AttestationInputs {
  async function keepGenuine<Row extends { id: string; organizationId: string }>(
    table: 'trust_anchor' | 'reference_value',
    rows: readonly Row[],
    isGenuine: (keyring: Keyring, row: Row) => Promise<boolean>,
  ): Promise<Row[]> {
    const genuine: Row[] = []
    for (const row of rows) {
      if (await isGenuine(keyring, row)) {
        genuine.push(row)
        continue
      }
      metrics.inputMacMismatches.inc({ table })
      const { organizationId, id } = row
      logger.error(`The ${table} ${id} is not as it was made: somebody wrote to the database.`, { organizationId })
    }
    return genuine
  }

  return {
    async findTrustAnchors(tx, { format, lookupIds, at }) {
      if (lookupIds.length === 0) return []
      const rows = await listTrustAnchorsAt(tx, { format, lookupIds, at })
      const genuine = await keepGenuine('trust_anchor', rows, isTrustAnchorGenuine)
      return genuine.map(({ lookupId, kind, der }) => ({ lookupId, kind, der }))
    },

    async listReferenceValues(tx, { format, names, at }) {
      if (names.length === 0) return []
      const rows = await listReferenceValuesAt(tx, { format, names, at })
      const genuine = await keepGenuine('reference_value', rows, isReferenceValueGenuine)
      return genuine.map(({ body }) => JSON.parse(body) as Json)
    },
  }
}
