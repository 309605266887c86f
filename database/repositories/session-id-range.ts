import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'

/**
 * Session ids begin with their time: bounds keep PostgreSQL from looking into every partition. No session that still matters
 * is older than two sessions' lives.
 */
export function sessionIdRange(now: number): [oldest: string, newest: string] {
  return [
    `${hexTime(now - 2 * SESSION_MS)}-0000-0000-000000000000`,
    `${hexTime(now + 2 * BUCKET_MS)}-ffff-ffff-ffffffffffff`,
  ]
}

/** The first 48 bits of a session id, as its text has them. */
function hexTime(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}`
}
