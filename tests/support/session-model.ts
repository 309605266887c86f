import { BUCKET_MS, bucketAt, isBucketAccepted } from '../../protocol/exchange/bucket.ts'
import type { SessionState } from '../../protocol/exchange/session-states.ts'

/** docs/protocol.md §4 once more, written from the page and not from the service: what sessions of one device may do. */

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** As far as access tokens and their repetition go. */
const TOKEN_MS = 5 * MINUTE_MS

export interface ModelSession {
  id: string
  /** As it is by now: time ends a session whether somebody writes that down or not. */
  state: SessionState
  /** What the database has; behind `state` until somebody meets the session. */
  stored: SessionState
  bucket: number
  createdAt: number
  expiresAt: number
  confirmedAt?: number
  supersededAt?: number
  /** Of the newest epoch that renewed. */
  renewals?: { epoch: number; count: number }
  /** Of the newest token of the session. */
  tokenEndsAt?: number
  isPruned: boolean
}

export type DeviceStatus = 'ACTIVE' | 'SUSPENDED' | 'REVOKED'

/** What an answer has to be: a status, or a code of an error. */
export type Outcome = 200 | 201 | 204 | string

/** The only arrows of the state machine. */
export const transitions: Record<SessionState, readonly SessionState[]> = {
  PENDING: ['ACTIVE', 'TIMED_OUT', 'FAILED', 'REVOKED'],
  ACTIVE: ['SUPERSEDED', 'EXPIRED', 'REVOKED'],
  SUPERSEDED: ['CLOSED', 'EXPIRED', 'REVOKED'],
  CLOSED: [],
  EXPIRED: [],
  TIMED_OUT: [],
  FAILED: [],
  REVOKED: [],
}
const open: readonly SessionState[] = ['PENDING', 'ACTIVE', 'SUPERSEDED']

export const isOpen = (state: SessionState) => open.includes(state)

export class SessionModel {
  now: number
  status: DeviceStatus = 'ACTIVE'
  /** Oldest first. */
  sessions: ModelSession[] = []
  /** Of the command under way: `session.established <id>`, in any order. */
  events: string[] = []

  constructor(now: number) {
    this.now = now
  }

  passTime(ms: number): void {
    this.now += ms
    for (const session of this.sessions) {
      const { state, createdAt, expiresAt, supersededAt = 0 } = session
      if (state === 'PENDING' && this.now >= createdAt + MINUTE_MS) session.state = 'TIMED_OUT'
      else if (state === 'ACTIVE' && this.now >= expiresAt) session.state = 'EXPIRED'
      else if (state === 'SUPERSEDED' && this.now >= Math.min(supersededAt + MINUTE_MS, expiresAt)) {
        session.state = supersededAt + MINUTE_MS <= expiresAt ? 'CLOSED' : 'EXPIRED'
      }
    }
  }

  /** The bucket's key may be known for longer than its window; it is not taken then. */
  open(id: string, bucket: number): Outcome {
    if (!isBucketAccepted(bucket, this.now)) return 'bucket_out_of_window'
    if (this.sessions.some((session) => session.id === id)) return 'replayed'
    if (this.status !== 'ACTIVE') return 'exchange_refused'
    for (const session of this.sessions)
      if (session.stored === 'PENDING' && session.state !== 'PENDING' && this.#isMet(session)) this.#end(session)
    const pending = this.sessions.filter(({ state }) => state === 'PENDING')
    for (const evicted of pending.slice(0, Math.max(0, pending.length - 1))) this.#end(evicted, 'TIMED_OUT')
    const { now } = this
    this.sessions.push({
      id,
      state: 'PENDING',
      stored: 'PENDING',
      bucket,
      createdAt: now,
      expiresAt: now + HOUR_MS,
      isPruned: false,
    })
    this.events.push(`session.opened ${id}`)
    return 201
  }

  confirm(session: ModelSession, isRight: boolean): Outcome {
    if (session.isPruned) return 'not_found'
    const { state, confirmedAt = 0 } = session
    const isConfirmed = state === 'ACTIVE' || state === 'SUPERSEDED'
    if (isConfirmed && isRight && this.now < confirmedAt + MINUTE_MS) return 200
    if (session.stored !== 'PENDING') return 'session_state'
    if (state !== 'PENDING') {
      this.#end(session)
      return 'session_state'
    }
    if (!isRight) {
      this.#end(session, 'FAILED')
      return 'confirmation_refused'
    }
    for (const older of this.sessions.slice(0, this.sessions.indexOf(session))) {
      if (older.state === 'ACTIVE') {
        this.#move(older, 'SUPERSEDED')
        older.supersededAt = this.now
        this.events.push(`session.superseded ${older.id}`)
      } else if (older.stored === 'PENDING' && this.#isMet(older)) this.#end(older, 'TIMED_OUT')
    }
    // A newer one that is ACTIVE already has timed this one out: what is left here is older, or still PENDING.
    this.#move(session, 'ACTIVE')
    session.confirmedAt = this.now
    session.tokenEndsAt = Math.min(this.now + TOKEN_MS, session.expiresAt)
    this.events.push(`session.established ${session.id}`)
    return 200
  }

  /** `isRepeated`: with a nonce that renewed this session before. */
  renew(session: ModelSession, epoch: number, isRepeated: boolean): Outcome {
    if (session.isPruned) return 'not_found'
    const isFirstToCome = epoch === session.bucket && this.now < epoch * BUCKET_MS
    if (!isFirstToCome && !isBucketAccepted(epoch, this.now)) return 'bucket_out_of_window'
    const hasChain = isOpen(session.stored) && epoch >= session.bucket && epoch <= bucketAt(session.expiresAt)
    if (!hasChain || (session.state !== 'ACTIVE' && session.state !== 'SUPERSEDED')) return 'session_state'
    const { renewals = { epoch, count: 0 } } = session
    if (isRepeated || epoch < renewals.epoch) return 'replayed'
    session.renewals = epoch === renewals.epoch ? { epoch, count: renewals.count + 1 } : { epoch, count: 1 }
    session.tokenEndsAt = Math.min(this.now + TOKEN_MS, session.expiresAt)
    this.events.push(`session.token_renewed ${session.id}`)
    return 201
  }

  isTokenTaken({ state, tokenEndsAt = 0 }: ModelSession): boolean {
    return this.now < tokenEndsAt && (state === 'ACTIVE' || state === 'SUPERSEDED')
  }

  endByOperator(session: ModelSession): Outcome {
    if (session.isPruned) return 'not_found'
    if (!isOpen(session.state)) return 'session_state'
    this.#revoke(session)
    return 204
  }

  changeStatus(to: DeviceStatus): Outcome {
    if (to === this.status) return 200
    const isRefused = this.status === 'REVOKED' || (to === 'ACTIVE' && this.status !== 'SUSPENDED')
    if (isRefused) return 'session_state'
    this.status = to
    if (to === 'ACTIVE') return 200
    for (const session of this.sessions) {
      if (isOpen(session.state)) this.#revoke(session)
      else if (isOpen(session.stored)) this.#end(session)
    }
    return 200
  }

  /** What time has ended is written down. */
  endInTime(): void {
    for (const session of this.sessions) if (isOpen(session.stored) && !isOpen(session.state)) this.#end(session)
  }

  /** Days whose last session ended longer ago than the retention are dropped. */
  prune(retentionMs: number): void {
    for (const session of this.sessions) {
      const dayEnd = (Math.floor((session.bucket * BUCKET_MS) / (24 * HOUR_MS)) + 1) * 24 * HOUR_MS
      if (dayEnd + 2 * HOUR_MS <= this.now - retentionMs) session.isPruned = true
    }
  }

  /** By an exchange or a confirmation of its device: what is older than two sessions' lives is left to who writes ends down. */
  #isMet({ bucket }: ModelSession): boolean {
    return bucket * BUCKET_MS >= this.now - 2 * HOUR_MS
  }

  #revoke(session: ModelSession): void {
    this.#move(session, 'REVOKED')
    this.events.push(`session.revoked ${session.id}`)
  }

  /** Written down: as what time has made of it, where that was first. */
  #end(session: ModelSession, to: SessionState = session.state): void {
    const end = isOpen(session.state) ? to : session.state
    session.state = end
    session.stored = end
    this.events.push(`session.${end.toLowerCase()} ${session.id}`)
  }

  #move(session: ModelSession, to: SessionState): void {
    session.state = to
    session.stored = to
  }
}
