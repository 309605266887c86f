import type { Selectable } from 'kysely'
import type { PrincipalStatus } from '../../protocol/enrollment.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Database, Statement } from '../open.ts'
import type { Tables } from '../tables.ts'
import { type AppraisalPolicyRow, toAppraisalPolicy } from './appraisal-policies.ts'
import { type AttestationChallengeRow, toAttestationChallenge } from './attestation-challenges.ts'
import type { AttestationResult, StoredEvidence } from './attestations.ts'
import { type AttesterStateRow, toAttesterState } from './attester-states.ts'
import { insertEventsText, insertEventsValues, type OutboxRow, sendWithEvents } from './audit-outbox.ts'
import type { IdentityKeyRow } from './identity-keys.ts'
import { type ReferenceValueRow, toReferenceValue } from './reference-values.ts'
import { type TrustAnchorRow, toTrustAnchor } from './trust-anchors.ts'

/**
 * Most of what a fleet asks for: what a re-attestation reads and what it writes, each in one pipelined round trip. A write says what
 * it read; when that has changed in between, `condition_failed` is thrown and nothing is stored.
 */

/**
 * Whoever attests, and what its evidence is held against. No MAC is checked yet. Not its session: a principal names the one that is
 * ACTIVE, and what looks into `session` opens each of its partitions.
 */
export interface AttestingParty {
  principal: {
    id: string
    organizationId: string
    spiffeId: string
    status: PrincipalStatus
    activeSessionId: string | undefined
    policyId: string
    /** Of the identity key: counts up with each one that takes its place. */
    keyGeneration: number
    identityKey: IdentityKeyRow & { isActive: boolean }
  }
  challenge: AttestationChallengeRow | undefined
  /** That the principal's policy names: of a name alone the newest version. */
  policy: AppraisalPolicyRow | undefined
  attesters: AttesterStateRow[]
  /** By which those were let in. */
  anchors: TrustAnchorRow[]
  /** Of the names that the policy gives. */
  referenceValues: ReferenceValueRow[]
}

const ofPrincipal = 'organization_id = current_organization() and principal_id = $1'

/** `none` has no row. */
const policyOfPrincipal = `select a.* from principal p join appraisal_policy a on a.organization_id = p.organization_id
    and a.name = split_part(p.policy_id, '@', 1)
    and (p.policy_id not like '%@%' or a.version = nullif(split_part(p.policy_id, '@', 2), '')::integer)
  where p.organization_id = current_organization() and p.id = $1
  order by a.version desc limit 1`

function partyStatements(principalId: string): Statement[] {
  return [
    {
      name: 'select_attesting_principal',
      text: `select p.organization_id, p.spiffe_id, p.status, p.active_session_id, p.policy_id, p.key_generation,
          k.kid, k.alg, k.public_key, k.mac, k.mac_key_version, k.status = 'ACTIVE' as is_active
        from principal p join identity_key k
          on k.organization_id = p.organization_id and k.principal_id = p.id and k.status <> 'REPLACED'
        where p.organization_id = current_organization() and p.id = $1`,
      values: [principalId],
    },
    {
      name: 'select_attestation_challenge',
      text: `select * from attestation_challenge where ${ofPrincipal}`,
      values: [principalId],
    },
    { name: 'select_attesting_policy', text: policyOfPrincipal, values: [principalId] },
  ]
}

function evidenceStatements(principalId: string, now: number): Statement[] {
  return [
    {
      name: 'select_known_attesters',
      text: `select * from attester_state where ${ofPrincipal}`,
      values: [principalId],
    },
    {
      // Where a format keeps in its state by which anchors it let an attester in. What lacks here is looked up in the slower way.
      name: 'select_anchors_of_attesters',
      text: `select a.* from attester_state s,
          lateral jsonb_array_elements(s.state::jsonb -> 'anchors') as used(anchor),
          lateral (select * from trust_anchor t
            where t.organization_id = current_organization() and t.format = s.format
              and t.lookup_id = used.anchor ->> 'lookupId'
              and t.created_at <= $2 and (t.removed_at is null or t.removed_at > $2) offset 0) as a
        where s.organization_id = current_organization() and s.principal_id = $1
        order by a.id`,
      values: [principalId, new Date(now)],
    },
    {
      name: 'select_expected_values',
      // OFFSET: each name is looked up by the index, however many the planner thinks that a policy has.
      text: `with policy as (${policyOfPrincipal})
        select v.* from policy,
          lateral jsonb_each(policy.body::jsonb -> 'evidence') as piece(format, terms),
          lateral jsonb_array_elements_text(piece.terms -> 'referenceValues') as wanted(name),
          lateral (select * from reference_value r
            where r.organization_id = current_organization() and r.format = piece.format and r.name = wanted.name
              and r.created_at <= $2 and (r.removed_at is null or r.removed_at > $2) offset 0) as v
        order by v.id`,
      values: [principalId, new Date(now)],
    },
  ]
}

/** Undefined for an unknown principal. `now`: of which time the reference values are; without it nothing of evidence is read. */
export async function findAttestingParty(
  database: Database,
  { organizationId, id }: { organizationId: string; id: string },
  now?: number,
): Promise<AttestingParty | undefined> {
  const evidence = now === undefined ? [] : evidenceStatements(id, now)
  const statements = [...partyStatements(id), ...evidence]
  const [, ...found] = await database.sendTransaction({ organizationId }, statements)
  const [principals, challenges, policies, attesters, anchors, values] = found.map(({ rows }) => rows)
  const principal = principals?.[0] as PrincipalRow | undefined
  if (principal === undefined) return undefined
  const challenge = challenges?.[0] as Row<'attestation_challenge'> | undefined
  const policy = policies?.[0] as Row<'appraisal_policy'> | undefined
  return {
    principal: toPrincipal(id, principal),
    challenge: challenge && toAttestationChallenge(challenge),
    policy: policy && toAppraisalPolicy(policy),
    attesters: ((attesters ?? []) as Row<'attester_state'>[]).map(toAttesterState),
    anchors: ((anchors ?? []) as Row<'trust_anchor'>[]).map(toTrustAnchor),
    referenceValues: ((values ?? []) as Row<'reference_value'>[]).map(toReferenceValue),
  }
}

/** The session of the party is still the ACTIVE one of a principal that may attest, whose key and policy are those that were read. */
const samePrincipal = `organization_id = current_organization() and id = $1 and status = 'ACTIVE'
  and active_session_id = $2 and key_generation = $3 and policy_id = $4`

function samePrincipalValues({ principal, challenge }: AttestingParty, sessionId: string): unknown[] {
  return [principal.id, sessionId, principal.keyGeneration, principal.policyId, challenge?.id ?? null]
}

/** A new challenge takes the place of the one that was read, or of none. */
export async function giveAttestationChallenge(
  database: Database,
  read: AttestingParty,
  given: {
    challenge: Pick<AttestationChallengeRow, 'id' | 'sessionId' | 'sealedChallenge' | 'expiresAt'>
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { id, sessionId, sealedChallenge, expiresAt } = given.challenge
  await sendWithEvents(database, { organizationId: read.principal.organizationId }, [
    {
      name: 'give_attestation_challenge',
      text: `with same as (select id from principal where ${samePrincipal} for no key update),
        given as (
          insert into attestation_challenge as c (organization_id, principal_id, id, session_id, sealed_challenge, expires_at)
          select current_organization(), id, $6, $2, $7, $8 from same
          on conflict (organization_id, principal_id) do update set id = $6, session_id = $2, sealed_challenge = $7,
            expires_at = $8, consumed_at = null, completion_hash = null, mismatched_at = null, attestation_result_id = null
            where c.id = $5
          returning 1),
        events_added as (${insertEventsText(9)})
        select expect_one(count(*)) from given`,
      values: [
        ...samePrincipalValues(read, sessionId),
        id,
        sealedChallenge,
        new Date(expiresAt),
        ...insertEventsValues(given.events),
      ],
    },
  ])
}

/** The challenge is spent, the result is stored and named by it, of the attesters is known what is new, and the next one is due then. */
export async function storeReattestation(
  database: Database,
  read: AttestingParty,
  stored: {
    result: AttestationResult & { sessionId: string }
    evidence: StoredEvidence & { id: string }
    completionHash: Uint8Array
    /** All of them were read. */
    attesters: readonly AttesterStateRow[]
    nextAttestationAt: number | undefined
    events: readonly OutboxRow[]
  },
): Promise<void> {
  const { result, evidence, attesters, nextAttestationAt } = stored
  const at = new Date(result.appraisedAt)
  await sendWithEvents(database, { organizationId: result.organizationId }, [
    {
      name: 'store_reattestation',
      // Each part waits for the one before: the principal's row is locked first, as everywhere.
      text: `with same as (
          update principal set next_attestation_at = $6, attestations_missed = 0, attestation_required_since = null
            where ${samePrincipal} returning id),
        answered as (
          update attestation_challenge c set consumed_at = $7, completion_hash = $8, attestation_result_id = $9
          from same where c.organization_id = current_organization() and c.principal_id = same.id and c.id = $5
            and c.consumed_at is null and c.expires_at > $7
          returning c.principal_id),
        evidence_added as (
          insert into evidence (organization_id, id, principal_id, body, received_at, binding, attesters)
          select current_organization(), $10, principal_id, $11, $7, $12, $13 from answered),
        result_added as (
          insert into attestation_result (organization_id, id, principal_id, evidence_id, kid, session_id, policy_id, tier,
            findings, ear, appraised_at, expires_at)
          select current_organization(), $9, principal_id, $10, $14, $2, $15, $16, $17, $18, $7, $19 from answered
          returning 1),
        attesters_changed as (
          update attester_state s set state = a.state, mac = decode(a.mac, 'hex'), mac_key_version = a.version, updated_at = $7
          from answered, unnest($20::text[], $21::text[], $22::text[], $23::text[], $24::bigint[])
            as a(format, attester_id, state, mac, version)
          where s.organization_id = current_organization() and s.principal_id = answered.principal_id
            and s.format = a.format and s.attester_id = a.attester_id and s.released_at is null
          returning 1),
        events_added as (${insertEventsText(25)})
        select expect_one((select count(*) from result_added)),
          expect_one(1 + (select count(*) from attesters_changed) - cardinality($20))`,
      values: [
        ...samePrincipalValues(read, result.sessionId),
        nextAttestationAt === undefined ? null : new Date(nextAttestationAt),
        at,
        stored.completionHash,
        result.id,
        evidence.id,
        evidence.body,
        evidence.binding,
        evidence.attesters,
        result.kid,
        result.policyId,
        result.tier,
        result.findings,
        result.ear,
        new Date(result.expiresAt),
        attesters.map(({ format }) => format),
        attesters.map(({ attesterId }) => attesterId),
        attesters.map(({ state }) => state),
        attesters.map(({ mac }) => Buffer.from(mac).toString('hex')),
        attesters.map(({ macKeyVersion }) => macKeyVersion),
        ...insertEventsValues(stored.events),
      ],
    },
  ])
}

function toPrincipal(id: string, row: PrincipalRow): AttestingParty['principal'] {
  const { organization_id: organizationId } = row
  return {
    id,
    organizationId,
    spiffeId: row.spiffe_id,
    status: row.status,
    activeSessionId: row.active_session_id ?? undefined,
    policyId: row.policy_id,
    keyGeneration: row.key_generation,
    identityKey: {
      organizationId,
      principalId: id,
      kid: row.kid,
      alg: row.alg,
      publicKey: row.public_key,
      mac: row.mac,
      macKeyVersion: row.mac_key_version,
      isActive: row.is_active,
    },
  }
}

interface PrincipalRow {
  organization_id: string
  spiffe_id: string
  status: PrincipalStatus
  active_session_id: string | null
  policy_id: string
  key_generation: number
  kid: string
  alg: SignatureAlgorithm
  public_key: Uint8Array
  mac: Uint8Array
  mac_key_version: number
  is_active: boolean
}

type Row<Table extends keyof Tables> = Selectable<Tables[Table]>
