import type { Database } from '../../database/open.ts'
import {
  type AppraisalPolicyRow,
  findAppraisalPolicy,
  insertAppraisalPolicy,
  listAppraisalPolicies,
  lockPolicyName,
} from '../../database/repositories/appraisal-policies.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type PolicyDocument,
  policyBody,
  policyDocument,
  policyHash,
  policyNone,
} from '../../protocol/attestation/policy.ts'
import { POLICY_NONE, toPolicyId } from '../../protocol/attestation/policy-id.ts'
import type { Json } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { isPolicyGenuine, macPolicy } from '../../runtime/custody/policy-mac.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { findPolicy, type StoredPolicy, toGenuinePolicy } from './policies.ts'

export interface AppraisalPolicyParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

/** A version of a policy for its operators. */
export interface ShownPolicy {
  id: string
  name: string
  /** Undefined of `none`, which is built in. */
  version: number | undefined
  /** As it was stored. */
  document: Record<string, Json>
  policyHash: string
  createdAt: number | undefined
}

export type AppraisalPolicies = ReturnType<typeof createAppraisalPolicies>

/** What devices of an organization have to prove: versions that are written once. */
export function createAppraisalPolicies(parts: AppraisalPolicyParts) {
  const { database, keyring, crypto } = parts
  return {
    /** The next version; where the newest says the same, that one, and nothing happens. `name` is a `policyName`. Throws `malformed`. */
    create(
      operator: Operator,
      { name, document }: { name: string; document: PolicyDocument },
      requestId: string,
    ): Promise<{ policy: ShownPolicy; isNew: boolean }> {
      if (name === POLICY_NONE) {
        throw new ServiceError('malformed', 'The policy none is built in, and stays as it is.', { field: 'name' })
      }
      const { organizationId } = operator
      return changeAs(parts, operator, async (tx, createdAt) => {
        await lockPolicyName(tx, name)
        const body = policyBody(document)
        const newest = await findAppraisalPolicy(tx, { name, version: undefined })
        if (newest !== undefined && (await isSaying(keyring, newest, body))) {
          return { policy: toShown(crypto, newest), isNew: false }
        }
        const policy = { organizationId, name, version: (newest?.version ?? 0) + 1, body }
        const { mac, version: macKeyVersion } = macPolicy(keyring, policy)
        await insertAppraisalPolicy(tx, { ...policy, mac, macKeyVersion, createdAt })
        const shown = toShown(crypto, { ...policy, createdAt })
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(operator),
            type: 'policy.created',
            subject: { policyId: shown.id },
            data: { policyHash: shown.policyHash },
            requestId,
          },
          createdAt,
        )
        await insertEvents(tx, [event])
        return { policy: shown, isNew: true }
      })
    },

    /** Of each name the newest version, in the order of the names; `none` is not among them. */
    list(operator: Operator, page: { limit: number; afterName: string | undefined }): Promise<ShownPolicy[]> {
      return database.withOrganization(operator.organizationId, async (tx) => {
        const rows = await listAppraisalPolicies(tx, page)
        const policies = await Promise.all(rows.map((row) => toGenuinePolicy(keyring, row)))
        return policies.map((policy) => toShown(crypto, policy))
      })
    },

    /** Without `version` the newest. */
    async get(operator: Operator, named: { name: string; version: number | undefined }): Promise<ShownPolicy> {
      if (named.name === POLICY_NONE && named.version === undefined) return shownNone(crypto)
      const policy = await database.withOrganization(operator.organizationId, (tx) => findPolicy(keyring, tx, named))
      if (policy === undefined) throw new ServiceError('not_found', 'There is no such policy.')
      return toShown(crypto, policy)
    },
  }
}

/** Nothing that somebody changed says anything: what is written comes after it, so that the policy is good again. */
async function isSaying(keyring: Keyring, policy: AppraisalPolicyRow, body: string): Promise<boolean> {
  return (await isPolicyGenuine(keyring, policy)) && policyBody(policyDocument.parse(JSON.parse(policy.body))) === body
}

function toShown(crypto: Primitives, { name, version, body, createdAt }: Omit<StoredPolicy, 'document'>): ShownPolicy {
  const document = JSON.parse(body) as Record<string, Json>
  return { id: toPolicyId({ name, version }), name, version, document, policyHash: policyHash(crypto, body), createdAt }
}

function shownNone(crypto: Primitives): ShownPolicy {
  const body = policyBody(policyNone)
  return {
    id: POLICY_NONE,
    name: POLICY_NONE,
    version: undefined,
    document: JSON.parse(body) as Record<string, Json>,
    policyHash: policyHash(crypto, body),
    createdAt: undefined,
  }
}
