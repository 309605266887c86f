import type { Database, Tx } from '../../database/open.ts'
import { findResultsRemovedBefore } from '../../database/repositories/attestation-retention.ts'
import {
  type AttestationResult,
  type AttestationScope,
  findAttestation,
  findStoredEvidence,
  isSeenBy,
  listAttestations,
} from '../../database/repositories/attestations.ts'
import { getIdentityKey } from '../../database/repositories/identity-keys.ts'
import { anchorIdsOf, parsePolicyEvidence } from '../../protocol/attestation/appraise.ts'
import type { TrustworthinessTier } from '../../protocol/attestation/ear.ts'
import type { EvidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { type PolicyDocument, policyBody } from '../../protocol/attestation/policy.ts'
import type { Json } from '../../protocol/encoding.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { timeOfId } from '../../runtime/ids.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import type { Operator, SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AttestationInputs } from './appraise-evidence.ts'
import { maySeeAll } from './federation-access.ts'
import { getPolicy } from './policies.ts'
import { type Findings, parseStoredAttesters, parseStoredFindings } from './store-attestation.ts'

export interface Attestation extends Omit<AttestationResult, 'findings'> {
  findings: Findings
}
export type Attestations = ReturnType<typeof createAttestations>

/** Results and what they were made of. Who runs federations sees those of their members, and nobody else's. */
export function createAttestations(parts: {
  database: Database
  keyring: Keyring
  attestationInputs: AttestationInputs
  profile: ProfileName
}) {
  const { database } = parts
  return {
    async list(
      caller: Operator | SessionCaller,
      page: {
        limit: number
        beforeId: string | undefined
        deviceId: string | undefined
        tier: TrustworthinessTier | undefined
      },
    ): Promise<Attestation[]> {
      const { deviceId: principalId, ...rest } = page
      const results = await database.withOrganization(caller.organizationId, (tx) =>
        listAttestations(tx, { ...rest, principalId, scope: scopeOf(caller) }),
      )
      return results.map(toAttestation)
    },

    get(caller: Operator | SessionCaller, id: string): Promise<Attestation> {
      return database.withOrganization(caller.organizationId, (tx) => getSeen(tx, caller, id))
    },

    /**
     * Everything that it takes to appraise the evidence again. Throws `not_found` also for evidence of before that was kept,
     * `attestation_removed` for what the retention has removed, though the result may be there.
     */
    getEvidence(caller: Operator, id: string): Promise<EvidenceBundle> {
      return database.withOrganization(caller.organizationId, async (tx) => {
        const result = await getSeen(tx, caller, id)
        const stored = await findStoredEvidence(tx, id)
        if (stored === undefined) {
          await refuseRemoved(tx, id)
          throw new ServiceError('not_found', 'What this result was made of was not kept by the release of its time.')
        }
        const { tier, policyId, findings, appraisedAt: at } = result
        const { document } = await getPolicy(parts, tx, policyId)
        const evidence = JSON.parse(stored.body) as Record<string, Json>[]
        const attesters = parseStoredAttesters(stored.attesters)
        const inputs = await loadBundledInputs(parts.attestationInputs, tx, result, { document, evidence, attesters })
        const policy = JSON.parse(policyBody(document)) as Record<string, Json>
        return {
          v: 1,
          evidence,
          binding: stored.binding,
          identityKey: (await getIdentityKey(tx, result.kid)).publicKey,
          at,
          attesters,
          ...inputs,
          result: { tier, policyId, policy, findings },
        }
      })
    },
  }
}

async function getSeen(tx: Tx, caller: Operator | SessionCaller, id: string): Promise<Attestation> {
  const result = await findAttestation(tx, id)
  if (result === undefined) await refuseRemoved(tx, id)
  const isSeen = result !== undefined && (await isSeenBy(tx, result.principalId, scopeOf(caller)))
  if (result === undefined || !isSeen) throw new ServiceError('not_found', 'There is no such attestation.')
  return toAttestation(result)
}

/**
 * Whatever was made before then is gone, of every organization: that an id is of that time tells nobody whether there was a result.
 * Throws `attestation_removed`.
 */
async function refuseRemoved(tx: Tx, id: string): Promise<void> {
  const madeAt = timeOfId(id)
  const removedBefore = await findResultsRemovedBefore(tx)
  if (madeAt === undefined || removedBefore === undefined || madeAt >= removedBefore) return
  const day = new Date(removedBefore).toISOString().slice(0, 10)
  throw new ServiceError(
    'attestation_removed',
    `What was attested before ${day} was removed, as the retention says; its events are in the audit log.`,
  )
}

function scopeOf(caller: Operator | SessionCaller): AttestationScope {
  if (maySeeAll(caller)) return 'all'
  return caller.type === 'api_token' ? { createdBy: caller.id } : { coordinatorId: caller.id }
}

interface BundledInputs extends Pick<EvidenceBundle, 'anchors' | 'referenceValues'> {
  collateral: NonNullable<EvidenceBundle['collateral']>
}

/** Anchors, collateral and reference values as they were at the time of the result. */
async function loadBundledInputs(
  inputs: AttestationInputs,
  tx: Tx,
  { organizationId, appraisedAt: at }: AttestationResult | Attestation,
  {
    document,
    evidence,
    attesters,
  }: {
    document: PolicyDocument
    evidence: readonly Record<string, Json>[]
    attesters: EvidenceBundle['attesters']
  },
): Promise<BundledInputs> {
  const bundled: BundledInputs = { anchors: {}, collateral: {}, referenceValues: {} }
  for (const piece of parsePolicyEvidence(document, evidence)) {
    const { format, policy } = piece
    const wanted = { organizationId, format, at }
    const attester = attesters[format]
    const known = attester?.kind === 'known' ? attester : ({ kind: 'enrolling', activation: undefined } as const)
    const anchors = await inputs.findTrustAnchors(tx, { ...wanted, lookupIds: anchorIdsOf(piece, known) })
    bundled.anchors[format] = anchors.map(({ lookupId, kind, der }) => ({ lookupId, kind, der }))
    const collateral = await inputs.listCollateral(tx, { lookupIds: piece.parsed.collateralIds, at })
    if (collateral.length > 0) {
      bundled.collateral[format] = collateral.map(({ chain, ...one }) => ({ ...one, chain: [...chain] }))
    }
    const values = []
    for (const name of policy.referenceValues) {
      values.push({ name, values: await inputs.listReferenceValues(tx, { ...wanted, names: [name] }) })
    }
    bundled.referenceValues[format] = values
  }
  return bundled
}

function toAttestation({ findings, ...result }: AttestationResult): Attestation {
  return { ...result, findings: parseStoredFindings(findings) }
}
