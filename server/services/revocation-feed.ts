import type { Database } from '../../database/open.ts'
import { findNewsRange, lookAtNews } from '../../database/repositories/revocation-reader.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Operator, SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { createListener, type Listener, type ListenerTiming, tellNews } from './revocation-listener.ts'

/** At once: of one caller, of an organization, and in this process. */
const MAX_OF_CALLER = 16
const MAX_OF_ORGANIZATION = 256
const MAX_LISTENERS = 2_048

const usual: ListenerTiming = { pollMs: 500, heartbeatMs: 10_000, slowMs: 30_000, cutOffMs: 60_000 }

export interface RevocationStream {
  chunks: AsyncIterable<string>
  /** Somebody does not read it: its connection has to end. */
  cutOff: AbortSignal
}

export interface RevocationFeed {
  /**
   * Who of the caller's devices may not take part: those who are barred now, or, where it begins behind a number that it heard before,
   * every change since; then each change within a second. `text/event-stream`. Ends with the token or session of the caller, and
   * with the process. Throws `overloaded`.
   */
  follow(caller: Operator | SessionCaller, after: number | undefined): Promise<RevocationStream>
  /** Ends every stream. */
  close(): void
}

/** Those of an organization who listen in this process, and the number of its newest news. */
interface Audience {
  listeners: Set<Listener>
  last: number
}

/** One look-up for each organization that somebody listens to, and one timer, however many listen. */
export function createRevocationFeed(
  parts: { database: Database; clock: Clock; logger: Logger },
  timing: ListenerTiming = usual,
): RevocationFeed {
  const { database, clock, logger } = parts
  const audiences = new Map<string, Audience>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let isAway = false
  let isClosed = false

  function startLooking(): void {
    if (timer !== undefined || isClosed || audiences.size === 0) return
    timer = setTimeout(() => {
      void lookAtAll().finally(() => {
        timer = undefined
        startLooking()
      })
    }, timing.pollMs)
  }

  async function lookAtAll(): Promise<void> {
    try {
      for (const [organizationId, audience] of audiences) await look(database, organizationId, audience, clock.now())
      isAway = false
    } catch (error) {
      if (!isAway && !isClosed) logger.error('whoever listens for revocations waits for the database', {}, error)
      isAway = true
    }
  }

  /** Throws `overloaded`. */
  function enter(listener: Listener): Audience {
    const { organizationId } = listener.caller
    const all = [...audiences.values()].reduce((sum, { listeners }) => sum + listeners.size, 0)
    const audience = audiences.get(organizationId) ?? { listeners: new Set(), last: 0 }
    const own = [...audience.listeners].filter(({ caller }) => isSameCaller(caller, listener.caller))
    const isFull = audience.listeners.size >= MAX_OF_ORGANIZATION || all >= MAX_LISTENERS
    if (isClosed || isFull || own.length >= MAX_OF_CALLER) {
      throw new ServiceError('overloaded', 'As many listen as can at once.', { retryAfterSeconds: 10 })
    }
    audiences.set(organizationId, audience)
    audience.listeners.add(listener)
    startLooking()
    return audience
  }

  function leave(listener: Listener): void {
    const { organizationId } = listener.caller
    const audience = audiences.get(organizationId)
    audience?.listeners.delete(listener)
    if (audience?.listeners.size === 0) audiences.delete(organizationId)
  }

  return {
    async follow(caller, after) {
      const listener = createListener(caller)
      const audience = enter(listener)
      try {
        const { oldest, last } = await findNewsRange(database, caller.organizationId)
        note(audience, last)
        const isResumed = after !== undefined && after >= oldest - 1 && after <= last
        const from = { sequence: isResumed ? after : last, isResumed }
        const chunks = tellNews(database, listener, from, () => audience.last, timing)
        return toStream(chunks, listener, timing, () => leave(listener))
      } catch (error) {
        leave(listener)
        throw error
      }
    },

    close() {
      isClosed = true
      clearTimeout(timer)
      for (const { listeners } of audiences.values()) for (const listener of listeners) listener.end('stopping')
    },
  }
}

/** Whatever the session: a coordinator that begins a new one does not get as many places again. */
function isSameCaller(one: Listener['caller'], other: Listener['caller']): boolean {
  return one.type === other.type && one.id === other.id
}

/** Ends whose token or session is over, and tells the others of what is new. */
async function look(database: Database, organizationId: string, audience: Audience, now: number): Promise<void> {
  const callers = [...audience.listeners].map(({ caller }) => caller)
  const apiTokenIds = callers.filter(({ type }) => type === 'api_token').map(({ id }) => id)
  const sessionIds = callers.flatMap((caller) => (caller.type === 'api_token' ? [] : [caller.sessionId]))
  const found = await lookAtNews(database, organizationId, { apiTokenIds, sessionIds }, now)
  const open = new Set(found.apiTokenIds)
  for (const session of found.sessions) {
    if (['ACTIVE', 'SUPERSEDED'].includes(sessionStateAt(session, now))) open.add(session.id)
  }
  for (const listener of audience.listeners) {
    const { caller } = listener
    // Who came while this was looked up is looked at next time.
    if (!callers.includes(caller)) continue
    const isOpen =
      caller.type === 'api_token' ? open.has(caller.id) : open.has(caller.sessionId) && now < caller.expiresAt
    if (!isOpen) listener.end('token_ended')
  }
  note(audience, found.last)
}

/** Wakes all when there is something new. */
function note(audience: Audience, last: number): void {
  if (last <= audience.last) return
  audience.last = last
  for (const listener of audience.listeners) listener.wake()
}

/** Whoever goes away frees the place at once, whatever is waited for. */
function toStream(
  chunks: AsyncGenerator<string>,
  listener: Listener,
  { slowMs, cutOffMs }: ListenerTiming,
  leave: () => void,
): RevocationStream {
  const cutting = new AbortController()
  let givenAt: number | undefined
  let cutOff: ReturnType<typeof setTimeout> | undefined
  async function step(next: () => Promise<IteratorResult<string>>): Promise<IteratorResult<string>> {
    clearTimeout(cutOff)
    try {
      const result = await next()
      if (result.done === true) leave()
      // The end, too, has to be taken.
      if (listener.ended !== 'gone') cutOff = setTimeout(() => cutting.abort(), cutOffMs).unref()
      givenAt = performance.now()
      return result
    } catch (error) {
      leave()
      throw error
    }
  }
  const iterator: AsyncIterator<string> = {
    next() {
      if (givenAt !== undefined && performance.now() - givenAt > slowMs) listener.end('too_slow')
      return step(() => chunks.next())
    },
    return() {
      listener.end('gone')
      leave()
      return step(() => chunks.return(undefined))
    },
  }
  return { chunks: { [Symbol.asyncIterator]: () => iterator }, cutOff: cutting.signal }
}
