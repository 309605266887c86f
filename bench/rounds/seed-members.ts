import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { newId } from '../../runtime/ids.ts'
import { sealChains } from '../../server/services/session-chains.ts'
import type { EpochKey } from '../../server/services/temporal-keys.ts'

const BATCH = 1_000
/** A result is as long as one that ML-DSA-44 signed. */
const EAR_BYTES = 4_800

export interface SeededMember {
  deviceId: string
  sessionId: string
  /** Of the bucket; 64 bytes. */
  chain: Uint8Array
}

/**
 * Members of a federation behind the API, each with an ACTIVE session of `bucket` whose chains are sealed as the service seals them,
 * and with an attestation result of tier `none`. Their identity keys are filler: they cannot exchange.
 * `epochKeys`: of the bucket and those behind it, as many as a session has.
 */
export async function seedMembers(
  sql: Client,
  crypto: Primitives,
  federation: { organizationId: string; id: string },
  { count, bucket, epochKeys }: { count: number; bucket: number; epochKeys: readonly EpochKey[] },
): Promise<SeededMember[]> {
  const seeded: SeededMember[] = []
  while (seeded.length < count) {
    const members = Array.from({ length: Math.min(BATCH, count - seeded.length) }, () => {
      const sessionId = makeSessionId(bucket)
      const chain = crypto.randomBytes(64)
      const session = { organizationId: federation.organizationId, principalId: newId(), id: sessionId }
      const chains = Buffer.from(sealChains(crypto, session, bucket, Uint8Array.from(chain), epochKeys))
      return { deviceId: session.principalId, sessionId, chain, chains }
    })
    await insertMembers(sql, federation, bucket, bucket + epochKeys.length - 1, members)
    seeded.push(...members.map(({ deviceId, sessionId, chain }) => ({ deviceId, sessionId, chain })))
  }
  return seeded
}

async function insertMembers(
  sql: Client,
  federation: { organizationId: string; id: string },
  bucket: number,
  lastEpoch: number,
  members: readonly (SeededMember & { chains: Buffer })[],
): Promise<void> {
  const at = new Date(bucket * BUCKET_MS)
  const { organizationId } = federation
  const ids = members.map(({ deviceId }) => deviceId)
  const sessionIds = members.map(({ sessionId }) => sessionId)
  await sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, active_session_id, created_at)
      select $1, d, 'device', 'member ' || d, 'ACTIVE', 'spiffe://bench/device/' || d, '{}', s, $4
      from unnest($2::uuid[], $3::uuid[]) as m (d, s)`,
    [organizationId, ids, sessionIds, at],
  )
  await sql.query(
    `insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at)
      select $1, rpad(substr(md5(d::text), 1, 21), 21, '0') || 'A', d, 'ML-DSA-44', decode(repeat('00', 1312), 'hex'), 'ACTIVE',
        decode(repeat('00', 32), 'hex'), 1, $3 from unnest($2::uuid[]) as d`,
    [organizationId, ids, at],
  )
  await sql.query(
    `insert into evidence (organization_id, id, principal_id, body, received_at)
      select $1, d, d, '[]', $3 from unnest($2::uuid[]) as d`,
    [organizationId, ids, at],
  )
  await sql.query(
    `insert into attestation_result (organization_id, id, principal_id, evidence_id, kid, policy_id, tier, ear, appraised_at,
        expires_at)
      select k.organization_id, d, d, d, k.kid, 'none', 'none', rpad('', ${EAR_BYTES}, md5(d::text)), $3, $3
      from unnest($2::uuid[]) as d join identity_key k on k.organization_id = $1 and k.principal_id = d`,
    [organizationId, ids, at],
  )
  await sql.query(
    `insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at,
        confirmed_at, chains, confirmation_hash)
      select $1, s, d, 'ACTIVE', 'ML-KEM-1024', $5, $6, $7, $8, $7, c, decode(repeat('00', 32), 'hex')
      from unnest($2::uuid[], $3::uuid[], $4::bytea[]) as m (d, s, c)`,
    [
      organizationId,
      ids,
      sessionIds,
      members.map(({ chains }) => chains),
      bucket,
      lastEpoch,
      at,
      new Date(at.getTime() + SESSION_MS),
    ],
  )
  await sql.query(
    `insert into federation_member (organization_id, federation_id, device_id, added_at)
      select $1, $2, d, $4 from unnest($3::uuid[]) as d`,
    [organizationId, federation.id, ids, at],
  )
}

/** A UUIDv8 that begins with the start of its bucket (docs/protocol.md §4). */
function makeSessionId(bucket: number): string {
  const time = (bucket * BUCKET_MS).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-8${randomUUID().slice(15)}`
}
