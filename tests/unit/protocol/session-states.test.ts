import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CONFIRMATION_REPEAT_MS,
  MAX_PENDING_SESSIONS,
  PENDING_MS,
  SESSION_MS,
  type SessionState,
  SUPERSEDED_MS,
  sessionStateAt,
  sessionStates,
} from '../../../protocol/exchange/session-states.ts'

const createdAt = 1_795_318_200_000
const expiresAt = createdAt + SESSION_MS
const supersededAt = createdAt + 1_800_000
const usable: readonly SessionState[] = ['PENDING', 'ACTIVE', 'SUPERSEDED']
const stateAt = (state: SessionState, now: number, changed: { expiresAt?: number; supersededAt?: number } = {}) =>
  sessionStateAt({ state, createdAt, expiresAt, supersededAt: undefined, ...changed }, now)

describe('the state of a session', () => {
  it('moves by the times of docs/protocol.md §4', () => {
    expect({ PENDING_MS, SUPERSEDED_MS, CONFIRMATION_REPEAT_MS, SESSION_MS, MAX_PENDING_SESSIONS }).toEqual({
      PENDING_MS: 60_000,
      SUPERSEDED_MS: 60_000,
      CONFIRMATION_REPEAT_MS: 60_000,
      SESSION_MS: 3_600_000,
      MAX_PENDING_SESSIONS: 2,
    })
  })

  it.each<[SessionState, number, SessionState]>([
    ['PENDING', createdAt, 'PENDING'],
    ['PENDING', createdAt + PENDING_MS - 1, 'PENDING'],
    ['PENDING', createdAt + PENDING_MS, 'TIMED_OUT'],
    ['PENDING', expiresAt, 'TIMED_OUT'],
    ['ACTIVE', createdAt + PENDING_MS, 'ACTIVE'],
    ['ACTIVE', expiresAt - 1, 'ACTIVE'],
    ['ACTIVE', expiresAt, 'EXPIRED'],
    ['ACTIVE', expiresAt + SESSION_MS, 'EXPIRED'],
  ])('%s at %i is %s', (state, now, expected) => {
    expect(stateAt(state, now)).toBe(expected)
  })

  it.each<[number, SessionState]>([
    [supersededAt, 'SUPERSEDED'],
    [supersededAt + SUPERSEDED_MS - 1, 'SUPERSEDED'],
    [supersededAt + SUPERSEDED_MS, 'CLOSED'],
    [expiresAt, 'CLOSED'],
  ])('SUPERSEDED in the middle of its life, at %i is %s', (now, expected) => {
    expect(stateAt('SUPERSEDED', now, { supersededAt })).toBe(expected)
  })

  it.each<[number, SessionState]>([
    [expiresAt - 1, 'SUPERSEDED'],
    [expiresAt, 'EXPIRED'],
    [expiresAt + SUPERSEDED_MS, 'EXPIRED'],
    [expiresAt + SESSION_MS, 'EXPIRED'],
  ])('SUPERSEDED half a minute before it expires, at %i is %s', (now, expected) => {
    expect(stateAt('SUPERSEDED', now, { supersededAt: expiresAt - 30_000 })).toBe(expected)
  })

  it('SUPERSEDED without a time is over', () => {
    expect(usable).not.toContain(stateAt('SUPERSEDED', createdAt))
  })

  it.each(sessionStates.filter((state) => !usable.includes(state)))('%s stays so for ever', (state) => {
    for (const now of [createdAt - 1, createdAt, createdAt + PENDING_MS, expiresAt, expiresAt + SESSION_MS]) {
      expect(stateAt(state, now)).toBe(state)
    }
  })

  it('once it is over, is over in the same way at any later time', () => {
    const offset = fc.integer({ min: 0, max: 2 * SESSION_MS })
    fc.assert(
      fc.property(fc.constantFrom(...usable), offset, offset, offset, offset, (state, expiry, superseded, a, b) => {
        const times = { expiresAt: createdAt + expiry, supersededAt: createdAt + superseded }
        const [earlier, later] = [Math.min(a, b), Math.max(a, b)].map((at) => stateAt(state, createdAt + at, times))
        if (earlier !== state) expect(later).toBe(earlier)
        if (later === state) expect(earlier).toBe(state)
      }),
      { numRuns: 2000 },
    )
  })
})
