import { type Selectable, sql } from 'kysely'
import type { RoundState } from '../../protocol/rounds/messages.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface Round {
  federationId: string
  round: number
  state: RoundState
  minParticipants: number
  openedAt: number
  closedAt: number | undefined
  aggregateHash: string | undefined
}

/** How many devices a key was given out for, and how many of them said since that they no longer have that chain. */
export interface ParticipantCounts {
  participants: number
  epochGone: number
}

/** What a round leaves behind when it ends. */
export interface RoundEnd {
  closedAt: number
  /** SHA3-256 of what was asked. */
  closingHash: Uint8Array
  aggregateHash: string | undefined
  /** Canonical JSON, as it was signed. */
  certificate: string
  signature: Uint8Array
  signatureKid: string
  trustSequence: number
  eventId: string
  /** Canonical JSON, as it is logged. */
  event: string
}

/**
 * The number of a new round: the next one, or `wanted` where that is above every round before. Undefined where it is not, or where
 * there is no such federation. Until the transaction ends no other round of the federation is opened.
 */
export async function takeRoundNumber(
  tx: Tx,
  federationId: string,
  wanted: number | undefined,
): Promise<number | undefined> {
  const row = await tx
    .updateTable('federation')
    .set({ last_round: wanted ?? sql<number>`last_round + 1` })
    .where('id', '=', federationId)
    .$if(wanted !== undefined, (query) => query.where('last_round', '<', wanted as number))
    .returning('last_round')
    .executeTakeFirst()
  return row?.last_round
}

export async function insertRound(
  tx: Tx,
  row: Pick<Round, 'federationId' | 'round' | 'minParticipants' | 'openedAt'> & { organizationId: string },
): Promise<void> {
  await tx
    .insertInto('round')
    .values({
      organization_id: row.organizationId,
      federation_id: row.federationId,
      round: row.round,
      state: 'OPEN',
      min_participants: row.minParticipants,
      opened_at: new Date(row.openedAt),
    })
    .execute()
}

export async function findRound(
  tx: Tx,
  federationId: string,
  round: number,
): Promise<(Round & ParticipantCounts) | undefined> {
  const row = await selectRounds(tx)
    .where('r.federation_id', '=', federationId)
    .where('r.round', '=', round)
    .executeTakeFirst()
  return row && toCountedRound(row)
}

/** The highest first, below `beforeRound` where it is given. */
export async function listRounds(
  tx: Tx,
  federationId: string,
  page: { limit: number; beforeRound: number | undefined },
): Promise<(Round & ParticipantCounts)[]> {
  let query = selectRounds(tx).where('r.federation_id', '=', federationId)
  if (page.beforeRound !== undefined) query = query.where('r.round', '<', page.beforeRound)
  return (await query.orderBy('r.round', 'desc').limit(page.limit).execute()).map(toCountedRound)
}

/** Locks the row: nobody gives out keys or closes it meanwhile. */
export async function lockRound(tx: Tx, federationId: string, round: number): Promise<Round | undefined> {
  const row = await tx
    .selectFrom('round')
    .select(columns)
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .forUpdate()
    .executeTakeFirst()
  return row && toRound(row)
}

/** The same for many at once, whom nobody who locks it overtakes. */
export async function shareRound(tx: Tx, federationId: string, round: number): Promise<Round | undefined> {
  const row = await tx
    .selectFrom('round')
    .select(columns)
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .forShare()
    .executeTakeFirst()
  return row && toRound(row)
}

/** The row is locked by the caller, who checked that it is open. */
export async function endRound(
  tx: Tx,
  { federationId, round }: Pick<Round, 'federationId' | 'round'>,
  state: 'CLOSED' | 'FAILED',
  end: RoundEnd,
): Promise<void> {
  await tx
    .updateTable('round')
    .set({
      state,
      closed_at: new Date(end.closedAt),
      closing_hash: end.closingHash,
      aggregate_hash: end.aggregateHash ?? null,
      certificate: end.certificate,
      signature: end.signature,
      signature_kid: end.signatureKid,
      trust_sequence: end.trustSequence,
      event_id: end.eventId,
      event: end.event,
    })
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .executeTakeFirstOrThrow()
}

/** Undefined while the round is open. */
export async function findRoundEnd(tx: Tx, federationId: string, round: number): Promise<RoundEnd | undefined> {
  const row = await tx
    .selectFrom('round')
    .selectAll()
    .where('federation_id', '=', federationId)
    .where('round', '=', round)
    .where('state', '<>', 'OPEN')
    .$narrowType<{
      closed_at: number
      closing_hash: Uint8Array
      certificate: string
      signature: Uint8Array
      signature_kid: string
      trust_sequence: number
      event_id: string
      event: string
    }>()
    .executeTakeFirst()
  return (
    row && {
      closedAt: row.closed_at,
      closingHash: row.closing_hash,
      aggregateHash: row.aggregate_hash ?? undefined,
      certificate: row.certificate,
      signature: row.signature,
      signatureKid: row.signature_kid,
      trustSequence: row.trust_sequence,
      eventId: row.event_id,
      event: row.event,
    }
  )
}

const columns = [
  'federation_id',
  'round',
  'state',
  'min_participants',
  'opened_at',
  'closed_at',
  'aggregate_hash',
] as const
type RoundRow = Pick<Selectable<Tables['round']>, (typeof columns)[number]>

function selectRounds(tx: Tx) {
  const count = (condition: string) =>
    sql<number>`(select count(*) from round_participant p where p.organization_id = r.organization_id
      and p.federation_id = r.federation_id and p.round = r.round ${sql.raw(condition)})`
  return tx
    .selectFrom('round as r')
    .select([
      'r.federation_id',
      'r.round',
      'r.state',
      'r.min_participants',
      'r.opened_at',
      'r.closed_at',
      'r.aggregate_hash',
      count('').as('participants'),
      count('and p.gone_at is not null').as('epoch_gone'),
    ])
}

function toRound(row: RoundRow): Round {
  return {
    federationId: row.federation_id,
    round: row.round,
    state: row.state,
    minParticipants: row.min_participants,
    openedAt: row.opened_at,
    closedAt: row.closed_at ?? undefined,
    aggregateHash: row.aggregate_hash ?? undefined,
  }
}

function toCountedRound(row: RoundRow & { participants: number; epoch_gone: number }): Round & ParticipantCounts {
  return { ...toRound(row), participants: row.participants, epochGone: row.epoch_gone }
}
