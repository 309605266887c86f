import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { communicationKey, type KeyPurpose } from '../../protocol/exchange/epochs.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { openChain, SEALED_CHAIN_BYTES } from '../../server/services/session-chains.ts'
import type { TemporalKeys } from '../../server/services/temporal-keys.ts'
import type { TestDatabase } from './database.ts'

/** The communication key that the server has for a session, out of what it stored: 64 bytes. */
export async function deriveServerKey(
  parts: { database: Pick<TestDatabase, 'sql'>; temporalKeys: Pick<TemporalKeys, 'findEpochKey'>; crypto: Primitives },
  names: { sessionId: string; epoch: number; purpose: KeyPurpose; context?: Uint8Array },
): Promise<Uint8Array> {
  const { database, temporalKeys, crypto } = parts
  const { sessionId, epoch } = names
  const { rows } = await database.sql.query<{ organization_id: string; principal_id: string; chains: Buffer }>(
    'select organization_id, principal_id, chains from session where id = $1',
    [sessionId],
  )
  const [row] = rows
  const epochKey = await temporalKeys.findEpochKey(epoch)
  if (row === undefined || epochKey === undefined) throw new Error('The server has no such session or epoch.')
  // A session id begins with the start of its bucket, which is its first epoch (docs/protocol.md §4).
  const firstEpoch = Number.parseInt(sessionId.replaceAll('-', '').slice(0, 12), 16) / BUCKET_MS
  const at = (epoch - firstEpoch) * SEALED_CHAIN_BYTES
  const sealed = Uint8Array.from(row.chains.subarray(at, at + SEALED_CHAIN_BYTES))
  const holder = { organizationId: row.organization_id, principalId: row.principal_id, id: sessionId }
  const chain = openChain(crypto, holder, epoch, sealed, epochKey)
  if (chain === undefined) throw new Error('The chain was sealed under another key.')
  return Uint8Array.from(communicationKey(crypto, chain, names))
}
