import { CompiledQuery, sql } from 'kysely'
import type { Tx } from '../open.ts'

/** What is about to be given out for a device. */
export interface RoundGrant {
  deviceId: string
  sessionId: string
  epoch: number
  /** 43 characters of base64url. */
  commitment: string
  kid: string
  tier: 'none' | 'affirming' | 'warning'
  attestationId: string
}

export type Participant = RoundGrant & { givenAt: number; goneAt: number | undefined }

/**
 * Writes down all of it in one statement, and answers for whom: only for who is a member, in this session still and not asked to
 * attest, so that nobody who left meanwhile is given a key, and not in the place of a newer epoch, nor of one that the device said
 * it no longer has.
 * The round is locked by the caller.
 */
export async function grantRoundKeys(
  tx: Tx,
  { federationId, round }: { federationId: string; round: number },
  grants: readonly RoundGrant[],
  givenAt: number,
): Promise<Set<string>> {
  const { rows } = await tx.executeQuery<{ device_id: string }>(
    CompiledQuery.raw(insertGrants, [
      federationId,
      round,
      new Date(givenAt),
      grants.map(({ deviceId }) => deviceId),
      grants.map(({ sessionId }) => sessionId),
      grants.map(({ epoch }) => epoch),
      grants.map(({ commitment }) => commitment),
      grants.map(({ kid }) => kid),
      grants.map(({ tier }) => tier),
      grants.map(({ attestationId }) => attestationId),
    ]),
  )
  return new Set(rows.map((row) => row.device_id))
}

const granted = ['session_id', 'epoch', 'commitment', 'kid', 'tier', 'attestation_id'] as const

/** Looked up by key for each device, as in `listRoundCandidates`. */
const insertGrants = `insert into round_participant as held
    (organization_id, federation_id, round, device_id, ${granted.join(', ')}, given_at)
  select m.organization_id, m.federation_id, $2, g.device_id, ${granted.map((name) => `g.${name}`).join(', ')}, $3
    from unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::uuid[])
      as g (device_id, ${granted.join(', ')})
    cross join lateral (select organization_id, federation_id from federation_member
      where organization_id = current_organization() and federation_id = $1 and device_id = g.device_id limit 1) m
    cross join lateral (select from principal where organization_id = current_organization() and id = g.device_id
      and status = 'ACTIVE' and active_session_id = g.session_id and attestation_required_since is null limit 1) p
  on conflict (organization_id, federation_id, round, device_id) do update
    set ${granted.map((name) => `${name} = excluded.${name}`).join(', ')}, given_at = excluded.given_at, gone_at = null
    where held.session_id <> excluded.session_id or held.epoch < excluded.epoch
      or (held.epoch = excluded.epoch and held.gone_at is null)
  returning device_id`

export async function findParticipant(
  tx: Tx,
  federationId: string,
  round: number,
  deviceId: string,
): Promise<Participant | undefined> {
  const row = await selectParticipants(tx, federationId, round).where('device_id', '=', deviceId).executeTakeFirst()
  return row && toParticipant(row)
}

/** By the ids of the devices, above `afterId` where it is given; those alone that have, or have not, said that the epoch is gone. */
export async function listParticipants(
  tx: Tx,
  federationId: string,
  round: number,
  page: { limit: number; afterId: string | undefined; isGone: boolean | undefined },
): Promise<Participant[]> {
  let query = selectParticipants(tx, federationId, round)
  if (page.afterId !== undefined) query = query.where('device_id', '>', page.afterId)
  if (page.isGone !== undefined) query = query.where('gone_at', page.isGone ? 'is not' : 'is', null)
  return (await query.limit(page.limit).execute()).map(toParticipant)
}

/** All of them, by the ids of the devices. The round is locked by the caller. */
export async function listAllParticipants(tx: Tx, federationId: string, round: number): Promise<Participant[]> {
  return (await selectParticipants(tx, federationId, round).execute()).map(toParticipant)
}

/** The round is held by the caller, so that nothing newer was given out since he looked. */
export async function markEpochGone(
  tx: Tx,
  { federationId, round, deviceId }: { federationId: string; round: number; deviceId: string },
  goneAt: number,
): Promise<void> {
  await tx
    .updateTable('round_participant')
    .set({ gone_at: new Date(goneAt) })
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .where('device_id', '=', deviceId)
    .executeTakeFirstOrThrow()
}

/** The text of each attestation result, by its id. They are several kilobytes each. */
export async function findEars(tx: Tx, attestationIds: readonly string[]): Promise<Map<string, string>> {
  const wanted = sql<string>`any(${attestationIds}::uuid[])`
  const rows = await tx
    .selectFrom('attestation_result')
    .select(['id', 'ear'])
    .where('id', '=', wanted)
    .unionAll((from) => from.selectFrom('kept_attestation_result').select(['id', 'ear']).where('id', '=', wanted))
    .execute()
  return new Map(rows.map(({ id, ear }) => [id, ear]))
}

function selectParticipants(tx: Tx, federationId: string, round: number) {
  return tx
    .selectFrom('round_participant')
    .select(['device_id', ...granted, 'given_at', 'gone_at'])
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .orderBy('device_id')
}

type ParticipantRow = Awaited<ReturnType<ReturnType<typeof selectParticipants>['execute']>>[number]

function toParticipant(row: ParticipantRow): Participant {
  return {
    deviceId: row.device_id,
    sessionId: row.session_id,
    epoch: row.epoch,
    commitment: row.commitment,
    kid: row.kid,
    tier: row.tier,
    attestationId: row.attestation_id,
    givenAt: row.given_at,
    goneAt: row.gone_at ?? undefined,
  }
}
