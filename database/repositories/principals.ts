import { type Selectable, sql } from 'kysely'
import type { PrincipalKind, PrincipalStatus } from '../../protocol/enrollment.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Tx } from '../open.ts'
import type { Metadata, Tables } from '../tables.ts'

/** A device or a coordinator with the key that it has now. */
export interface Principal {
  id: string
  organizationId: string
  kind: PrincipalKind
  name: string
  type: string | undefined
  /** Sorted. */
  capabilities: string[]
  status: PrincipalStatus
  spiffeId: string
  metadata: Metadata
  activeSessionId: string | undefined
  /** That its enrolment token named: what appraises its evidence, in the newest version where it is a name. */
  policyId: string
  /** By when it has to have attested again; undefined where its policy does not ask for it, or it has no session. */
  nextAttestationAt: number | undefined
  /** Until then it may ask for little; it may be over. */
  slowedUntil: number | undefined
  /** Since then it has to attest before it gets a key of a round. */
  attestationRequiredSince: number | undefined
  createdAt: number
  lastSeenAt: number | undefined
  identityKey: {
    kid: string
    alg: SignatureAlgorithm
    publicKey: Uint8Array
    createdAt: number
    /** Since when it is flagged as too old. */
    rotationDueSince: number | undefined
  }
}

export async function insertPrincipal(
  tx: Tx,
  principal: Omit<
    Principal,
    'activeSessionId' | 'nextAttestationAt' | 'slowedUntil' | 'attestationRequiredSince' | 'lastSeenAt' | 'identityKey'
  >,
): Promise<void> {
  await tx
    .insertInto('principal')
    .values({
      organization_id: principal.organizationId,
      id: principal.id,
      kind: principal.kind,
      name: principal.name,
      type: principal.type ?? null,
      capabilities: principal.capabilities,
      status: principal.status,
      spiffe_id: principal.spiffeId,
      metadata: JSON.stringify(principal.metadata),
      policy_id: principal.policyId,
      created_at: new Date(principal.createdAt),
    })
    .execute()
}

/** Each with the key that it has now. */
export function selectPrincipals(tx: Tx) {
  return tx
    .selectFrom('principal')
    .innerJoin('identity_key', (join) =>
      join
        .onRef('identity_key.organization_id', '=', 'principal.organization_id')
        .onRef('identity_key.principal_id', '=', 'principal.id')
        // A literal: of a parameter the planner would think that it leaves no rows, and read all keys for a page of devices.
        .on('identity_key.status', '<>', sql.lit('REPLACED')),
    )
    .selectAll('principal')
    .select([
      'identity_key.kid',
      'identity_key.alg',
      'identity_key.public_key',
      'identity_key.created_at as key_created_at',
      'identity_key.rotation_due_since',
    ])
}

export async function findPrincipal(tx: Tx, id: string): Promise<Principal | undefined> {
  const row = await selectPrincipals(tx).where('principal.id', '=', id).executeTakeFirst()
  return row && toPrincipal(row)
}

/** Those of the ids that are a device's or a coordinator's in the organization of the transaction. */
export async function findPrincipalIds(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('principal')
    .select('id')
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .execute()
  return new Set(rows.map(({ id }) => id))
}

export type LockedPrincipal = Pick<Principal, 'status'>

/**
 * Locks the row against exchanges, confirmations and other changes; the status as it is then. Not against rows that name it, which
 * take a lock of their own on it: of two who hold themselves and name each other, none would get any further.
 */
export async function lockPrincipal(tx: Tx, id: string): Promise<LockedPrincipal | undefined> {
  return tx.selectFrom('principal').select('status').where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
}

/** What a principal without a session has of one. */
const noSession = { active_session_id: null, pending_session_ids: [], next_attestation_at: null }

/** The row is locked by the caller. Its keys are revoked with it, and its attesters may be another's. */
export async function markPrincipalRevoked(tx: Tx, id: string, revokedAt: number): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ ...noSession, status: 'REVOKED', revoked_at: new Date(revokedAt) })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  await tx
    .updateTable('attester_state')
    .set({ released_at: new Date(revokedAt) })
    .where('principal_id', '=', id)
    .where('released_at', 'is', null)
    .execute()
  await tx
    .updateTable('identity_key')
    .set({ status: 'REVOKED' })
    .where('principal_id', '=', id)
    .where('status', '=', 'ACTIVE')
    .execute()
}

/** Undefined leaves a member as it is; null removes the type. */
export interface PrincipalChange {
  name?: string | undefined
  type?: string | null | undefined
  capabilities?: string[] | undefined
  metadata?: Metadata | undefined
}

/** At least one member changes. The row is locked by the caller. */
export async function updatePrincipal(tx: Tx, id: string, change: PrincipalChange): Promise<void> {
  const { name, type, capabilities, metadata } = change
  await tx
    .updateTable('principal')
    .set({ name, type, capabilities, metadata: metadata && JSON.stringify(metadata) })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who ends its sessions. */
export async function markPrincipalSuspended(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ ...noSession, status: 'SUSPENDED' })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who ends its sessions. */
export async function markPrincipalQuarantined(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ ...noSession, status: 'QUARANTINED' })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who ends its sessions; it may begin new ones. */
export async function markSessionsEnded(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('principal').set(noSession).where('id', '=', id).executeTakeFirstOrThrow()
}

/**
 * It attested: the challenge names the result, none is missed, and the next one is due then. One statement, as most of what a fleet
 * asks for is this. The row is locked by the caller.
 */
export async function markPrincipalAttested(
  tx: Tx,
  id: string,
  attested: { challengeId: string; attestationResultId: string; nextAttestationAt: number | undefined },
): Promise<void> {
  const { challengeId, attestationResultId, nextAttestationAt } = attested
  await tx
    .with('answered', (cte) =>
      cte
        .updateTable('attestation_challenge')
        .set({ attestation_result_id: attestationResultId })
        .where('id', '=', challengeId),
    )
    .updateTable('principal')
    .set({
      next_attestation_at: nextAttestationAt === undefined ? null : new Date(nextAttestationAt),
      attestations_missed: 0,
      attestation_required_since: null,
    })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller. A longer time that was set before stays; until when it is slowed now. */
export async function markPrincipalSlowed(tx: Tx, id: string, until: number): Promise<number> {
  const row = await tx
    .updateTable('principal')
    .set({ slowed_until: sql`greatest(slowed_until, ${new Date(until)})` })
    .where('id', '=', id)
    .returning('slowed_until')
    .executeTakeFirstOrThrow()
  return row.slowed_until ?? until
}

/** The row is locked by the caller. Until it attests; since when that was asked for first. */
export async function markAttestationRequired(tx: Tx, id: string, since: number): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ attestation_required_since: sql`coalesce(attestation_required_since, ${new Date(since)})` })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller. */
export async function markRestrictionsLifted(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ slowed_until: null, attestation_required_since: null })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who checked that it is suspended. */
export async function markPrincipalResumed(tx: Tx, id: string): Promise<void> {
  await tx.updateTable('principal').set({ status: 'ACTIVE' }).where('id', '=', id).executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who checked that it is quarantined. What it has to attest begins with its next session. */
export async function markPrincipalCleared(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable('principal')
    .set({ status: 'ACTIVE', next_attestation_at: null, attestations_missed: 0 })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller. */
export async function forgetPrincipalSession(tx: Tx, id: string, sessionId: string): Promise<void> {
  const row = await tx
    .selectFrom('principal')
    .select(['active_session_id', 'pending_session_ids'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  await tx
    .updateTable('principal')
    .set({
      active_session_id: row.active_session_id === sessionId ? null : row.active_session_id,
      pending_session_ids: row.pending_session_ids.filter((pending) => pending !== sessionId),
    })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

export function toPrincipal(
  row: Selectable<Tables['principal']> &
    Pick<Selectable<Tables['identity_key']>, 'kid' | 'alg' | 'public_key' | 'rotation_due_since'> & {
      key_created_at: number
    },
): Principal {
  return {
    id: row.id,
    organizationId: row.organization_id,
    kind: row.kind,
    name: row.name,
    type: row.type ?? undefined,
    capabilities: row.capabilities,
    status: row.status,
    spiffeId: row.spiffe_id,
    metadata: row.metadata,
    activeSessionId: row.active_session_id ?? undefined,
    policyId: row.policy_id,
    nextAttestationAt: row.next_attestation_at ?? undefined,
    slowedUntil: row.slowed_until ?? undefined,
    attestationRequiredSince: row.attestation_required_since ?? undefined,
    createdAt: row.created_at,
    lastSeenAt: row.last_seen_at ?? undefined,
    identityKey: {
      kid: row.kid,
      alg: row.alg,
      publicKey: row.public_key,
      createdAt: row.key_created_at,
      rotationDueSince: row.rotation_due_since ?? undefined,
    },
  }
}
