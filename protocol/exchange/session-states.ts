/** The state machine of docs/protocol.md §4; a session is made PENDING. */
export const sessionStates = [
  'PENDING',
  'ACTIVE',
  'SUPERSEDED',
  'CLOSED',
  'EXPIRED',
  'TIMED_OUT',
  'FAILED',
  'REVOKED',
] as const
export type SessionState = (typeof sessionStates)[number]

/** Milliseconds. */
export const PENDING_MS = 60_000
export const SUPERSEDED_MS = 60_000
/** How long a repeated confirmation gives the same answer. */
export const CONFIRMATION_REPEAT_MS = 60_000
export const SESSION_MS = 3_600_000
export const MAX_PENDING_SESSIONS = 2

export interface SessionTimes {
  createdAt: number
  expiresAt: number
  supersededAt: number | undefined
}

/**
 * The state that a stored session is in at `now`. What time alone brings about (TIMED_OUT, EXPIRED, CLOSED) is computed, so
 * that nobody may use a session for longer because nobody wrote it down yet. All times in milliseconds since the Unix epoch.
 */
export function sessionStateAt(session: SessionTimes & { state: SessionState }, now: number): SessionState {
  if (session.state === 'PENDING' && now >= session.createdAt + PENDING_MS) return 'TIMED_OUT'
  const closesAt = (session.supersededAt ?? 0) + SUPERSEDED_MS
  if (session.state === 'SUPERSEDED' && closesAt <= session.expiresAt && now >= closesAt) return 'CLOSED'
  if ((session.state === 'ACTIVE' || session.state === 'SUPERSEDED') && now >= session.expiresAt) return 'EXPIRED'
  return session.state
}
