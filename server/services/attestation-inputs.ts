import { listReferenceValuesAt, type ReferenceValueRow } from '../../database/repositories/reference-values.ts'
import { listTrustAnchorsAt, type TrustAnchorRow } from '../../database/repositories/trust-anchors.ts'
import type { EvidenceFormatName, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import type { Json } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import {
  isCollateralGenuine,
  isReferenceValueGenuine,
  isTrustAnchorGenuine,
} from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { rememberParsed } from '../../runtime/remember-parsed.ts'
import type { AttestationInputs } from './appraise-evidence.ts'
import { createKnownCollateral } from './known-collateral.ts'

export interface AttestationInputParts {
  keyring: Keyring
  logger: Logger
  metrics: Pick<Metrics, 'inputMacMismatches'>
}

/** Of the authorities between an EK certificate and its root. */
const MAX_INTERMEDIATES = 4

/** What organizations trust and expect. An appraisal goes on without what somebody else than an operator put there, and the log says so. */
export function createAttestationInputs(parts: AttestationInputParts & { crypto: Primitives }): AttestationInputs {
  const collateral = createKnownCollateral(parts)
  return {
    async findTrustAnchors(tx, { format, lookupIds, at }) {
      const found: TrustAnchor[] = []
      const asked = new Set<string>()
      // Evidence does not name what stands above an intermediate certificate that it does not bring along.
      let next = lookupIds
      for (let above = 0; above <= MAX_INTERMEDIATES && next.length > 0; above++) {
        for (const id of next) asked.add(id)
        const rows = await listTrustAnchorsAt(tx, { format, lookupIds: next, at })
        const genuine = await keepGenuineAnchors(parts, rows)
        found.push(...genuine.map(({ lookupId, kind, der }) => ({ lookupId, kind, der })))
        next = genuine.filter(({ kind }) => kind === 'intermediate').map(({ der }) => parseCertificate(der).issuerId)
        next = next.filter((id) => !asked.has(id))
      }
      return found
    },

    listCollateral: (tx, wanted) =>
      collateral.list(
        tx,
        wanted,
        async (row) => (await keepGenuine(parts, 'collateral', [row], isCollateralGenuine)).length === 1,
      ),

    async listReferenceValues(tx, { format, names, at }) {
      if (names.length === 0) return []
      const rows = await listReferenceValuesAt(tx, { format, names, at })
      return (await keepGenuineValues(parts, rows)).map(({ body }) => readReferenceValue(body))
    },
  }
}

/** Those that an operator made, as they were made; the log of the service names the others. */
export function keepGenuineValues(
  parts: AttestationInputParts,
  rows: readonly ReferenceValueRow[],
): Promise<ReferenceValueRow[]> {
  return keepGenuine(parts, 'reference_value', rows, isReferenceValueGenuine)
}

/** The same, of trust anchors. */
export async function keepGenuineAnchors(
  parts: AttestationInputParts,
  rows: readonly TrustAnchorRow[],
): Promise<(TrustAnchor & { format: EvidenceFormatName })[]> {
  const genuine = await keepGenuine(parts, 'trust_anchor', rows, isTrustAnchorGenuine)
  return genuine.map(({ format, lookupId, kind, der }) => ({ format, lookupId, kind, der }))
}

/** What a value says, by its body. */
export const readReferenceValue = rememberParsed((body) => JSON.parse(body) as Json)

async function keepGenuine<Row extends { id: string; organizationId: string }>(
  { keyring, logger, metrics }: AttestationInputParts,
  table: 'trust_anchor' | 'reference_value' | 'collateral',
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
