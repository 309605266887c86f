import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import { type VerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { compareTables } from './compare-tables.ts'
import { createLogChecker, type LoggedEvent } from './log-checker.ts'

const crypto = createNativePrimitives()
const DRAINED_WITHIN_MS = 60_000

/**
 * Every event of a fleet that is at rest, once what it waits for is written. Throws unless log, tree and checkpoints are sound, the
 * tables hold what it tells of, and every session of `sessionIds` is in it.
 */
export async function requireLog(sql: Client, sessionIds: readonly string[]): Promise<LoggedEvent[]> {
  await untilDrained(sql)
  const checker = createLogChecker(crypto, await readKeys(sql))
  const events = await checker.readOn(sql)
  await compareTables(sql, events)
  requireEstablished(events, sessionIds)
  return events
}

function requireEstablished(events: readonly LoggedEvent[], sessionIds: readonly string[]): void {
  const established = new Set(
    events.filter(({ type }) => type === 'session.established').map(({ subject }) => subject['sessionId']),
  )
  const lost = sessionIds.filter((id) => !established.has(id))
  if (lost.length > 0) throw new Error(`${lost.length} sessions are not in the log, the first is ${lost[0]}`)
}

async function untilDrained(sql: Client): Promise<void> {
  const deadline = performance.now() + DRAINED_WITHIN_MS
  for (;;) {
    const { rows } = await sql.query<{ is_drained: boolean }>(
      'select published_size = size and not exists (select from audit_outbox) as is_drained from audit_log_state',
    )
    if (rows[0]?.is_drained === true) return
    if (performance.now() > deadline) throw new Error('the log does not go on')
    await sleep(20)
  }
}

async function readKeys(sql: Client): Promise<VerifierKey[]> {
  const { rows } = await sql.query<{ public_key: Buffer }>(
    `select public_key from signing_key where key_use = 'audit' and alg = 'ML-DSA-44'`,
  )
  return rows.map((row) => verifierKey(crypto, logOrigin('qflare.local'), 'cosignature', row.public_key))
}
