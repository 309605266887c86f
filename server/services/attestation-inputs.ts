import type { Tx } from '../../database/open.ts'
import { findReferenceValues } from '../../database/repositories/reference-values.ts'
import { findTrustAnchors, type TrustAnchorRow } from '../../database/repositories/trust-anchors.ts'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import type { Json } from '../../protocol/encoding.ts'
import { type InputFacts, isInputGenuine } from '../../runtime/custody/attestation-input-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import type { AttestationInputs } from './appraise-evidence.ts'

/** Of one piece of evidence. More reference values than that are no help to anybody; more anchors of a few names there are not. */
const MAX_ANCHORS = 64
const MAX_VALUES = 1_000
/** From an intermediate certificate that evidence names to the root above. */
const MAX_INTERMEDIATES = 4

/** What organizations trust and expect. Each row is held against its MAC; SealError for one that somebody changed. */
export function createAttestationInputs({ keyring }: { keyring: Keyring }): AttestationInputs {
  return {
    async findTrustAnchors(tx, { format, lookupIds, at }) {
      const found = await findWithIssuers(keyring, tx, { format, lookupIds, at })
      return found.map(({ lookupId, kind, der }) => ({ lookupId, kind, der }))
    },

    async listReferenceValues(tx, { format, names, at }) {
      if (names.length === 0) return []
      const found = await findReferenceValues(tx, { format, names, at, limit: MAX_VALUES })
      for (const value of found) await requireGenuine(keyring, value)
      return found.map(({ body }) => JSON.parse(body) as Json)
    },
  }
}

/** Evidence does not name what stands above an intermediate certificate that it does not bring along. */
async function findWithIssuers(
  keyring: Keyring,
  tx: Tx,
  wanted: { format: EvidenceFormatName; lookupIds: readonly string[]; at: number },
): Promise<TrustAnchorRow[]> {
  const found: TrustAnchorRow[] = []
  const asked = new Set<string>()
  let next = wanted.lookupIds
  for (let depth = 0; depth <= MAX_INTERMEDIATES; depth++) {
    const lookupIds = next.filter((id) => !asked.has(id))
    if (lookupIds.length === 0) break
    for (const id of lookupIds) asked.add(id)
    const rows = await findTrustAnchors(tx, { ...wanted, lookupIds, limit: MAX_ANCHORS })
    for (const row of rows) await requireGenuine(keyring, row)
    found.push(...rows)
    next = rows.filter(({ kind }) => kind === 'intermediate').map(({ der }) => parseCertificate(der).issuerId)
  }
  return found
}

/** Whoever writes to the database could otherwise say what is trusted: nothing goes on with such a row, and the log of the service names it. */
async function requireGenuine(
  keyring: Keyring,
  row: InputFacts & { mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  if (await isInputGenuine(keyring, row)) return
  throw new SealError(
    `The ${row.input} ${row.id} of organization ${row.organizationId} is not as it was made: somebody wrote to the database.`,
  )
}
