import type { Tx } from '../../database/open.ts'
import { type AppraisalPolicyRow, findAppraisalPolicy } from '../../database/repositories/appraisal-policies.ts'
import {
  evidencePoliciesOf,
  type PolicyDocument,
  policyDocument,
  policyNone,
} from '../../protocol/attestation/policy.ts'
import { POLICY_NONE, type PolicyVersion, parsePolicyId, toPolicyId } from '../../protocol/attestation/policy-id.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { isPolicyGenuine } from '../../runtime/custody/policy-mac.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import { type ProfileName, profiles } from '../../runtime/profile.ts'
import { rememberParsed } from '../../runtime/remember-parsed.ts'
import { ServiceError } from '../errors.ts'

export interface AppraisalPolicy {
  /** What a result names: of one version, which never changes. */
  id: string
  document: PolicyDocument
  identityAlgorithms: readonly SignatureAlgorithm[]
}

/** Versions never change. */
const readDocument = rememberParsed((body) => policyDocument.parse(JSON.parse(body)))

/** A stored version whose MAC is right. */
export interface StoredPolicy extends PolicyVersion {
  /** As it was stored and hashed. */
  body: string
  /** What that means to this release. */
  document: PolicyDocument
  createdAt: number
}

/**
 * The policy that `policyId` names, always as one version; a name alone is the newest. Which identity keys may enrol is the profile's
 * to say, whatever the policy. Throws `malformed` for one that does not exist (`field`: where it was named), SealError for one that somebody changed.
 */
export async function getPolicy(
  parts: { keyring: Keyring; profile: ProfileName },
  tx: Tx,
  policyId: string,
  field = 'policyId',
): Promise<AppraisalPolicy> {
  const builtIn = builtInPolicy(parts.profile, policyId)
  if (builtIn !== undefined) return builtIn
  const named = parsePolicyId(policyId)
  const policy = named && (await findPolicy(parts.keyring, tx, named))
  if (policy === undefined) throw noSuchPolicy(policyId, field)
  return toAppraisalPolicy(parts.profile, policy)
}

/** The one that is in no database. */
export function builtInPolicy(profile: ProfileName, policyId: string): AppraisalPolicy | undefined {
  if (policyId !== POLICY_NONE) return undefined
  return { id: POLICY_NONE, document: policyNone, identityAlgorithms: profiles[profile].identity }
}

export function toAppraisalPolicy(profile: ProfileName, policy: StoredPolicy): AppraisalPolicy {
  return { id: toPolicyId(policy), document: policy.document, identityAlgorithms: profiles[profile].identity }
}

export function noSuchPolicy(policyId: string, field = 'policyId'): ServiceError {
  return new ServiceError('malformed', `There is no policy ${policyId}.`, { field })
}

/** Without `version` the newest. Throws SealError for one that somebody changed. */
export async function findPolicy(
  keyring: Keyring,
  tx: Tx,
  named: { name: string; version: number | undefined },
): Promise<StoredPolicy | undefined> {
  const row = await findAppraisalPolicy(tx, named)
  return row && (await toGenuinePolicy(keyring, row))
}

/**
 * Whoever writes to the database could otherwise say what devices have to prove. Not the caller's mistake, and nothing goes on with
 * such a policy: what was begun is undone, and the log of the service names it. Throws SealError.
 */
export async function toGenuinePolicy(keyring: Keyring, row: AppraisalPolicyRow): Promise<StoredPolicy> {
  if (!(await isPolicyGenuine(keyring, row))) {
    throw new SealError(
      `The policy ${toPolicyId(row)} of organization ${row.organizationId} is not as it was made: somebody wrote to the database.`,
    )
  }
  const { name, version, body, createdAt } = row
  return { name, version, body, document: readDocument(body), createdAt }
}

/** What a device is told of a policy before it makes its evidence. */
export function toDevicePolicy({ document, identityAlgorithms }: AppraisalPolicy): {
  evidence: string[]
  identityAlgorithms: SignatureAlgorithm[]
} {
  return {
    evidence: evidencePoliciesOf(document).map(([format]) => format),
    identityAlgorithms: [...identityAlgorithms],
  }
}

/** Throws `key_invalid`. */
export function requireIdentityAlgorithm({ identityAlgorithms }: AppraisalPolicy, alg: SignatureAlgorithm): void {
  if (identityAlgorithms.includes(alg)) return
  throw new ServiceError('key_invalid', `Identity keys here are of ${identityAlgorithms.join(', ')}, not ${alg}.`, {
    field: 'identityKey.alg',
  })
}
