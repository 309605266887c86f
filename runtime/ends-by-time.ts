import { PENDING_MS, type SessionState, type SessionTimes, SUPERSEDED_MS } from '../protocol/exchange/session-states.ts'

/** What time alone brings about: the event that tells of it, and when it came about. */
export const endsByTime = {
  TIMED_OUT: { type: 'session.timed_out', endedAt: ({ createdAt }) => createdAt + PENDING_MS },
  EXPIRED: { type: 'session.expired', endedAt: ({ expiresAt }) => expiresAt },
  CLOSED: { type: 'session.closed', endedAt: ({ supersededAt = 0 }) => supersededAt + SUPERSEDED_MS },
} as const satisfies Partial<Record<SessionState, { type: string; endedAt: (session: SessionTimes) => number }>>
export type EndByTime = keyof typeof endsByTime

export function isEndByTime(state: SessionState): state is EndByTime {
  return state in endsByTime
}
