import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import {
  listBarredDevices,
  listNews,
  type News,
  type NewsScope,
} from '../../database/repositories/revocation-reader.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import {
  type RevocationChange,
  type RevocationSnapshot,
  SNAPSHOT_DEVICES,
  type StreamEnd,
} from '../../protocol/revocations.ts'
import { hasRole, type Operator, type SessionCaller } from '../caller.ts'

/** News of one event each that are read, and sent, at once. */
const PAGE = 500

/** In milliseconds of this process. */
export interface ListenerTiming {
  /** How often somebody looks for news, and whether who listens still may. */
  pollMs: number
  /** Something is sent at least so often, so that both ends and all between see that the other is there. */
  heartbeatMs: number
  /** Who takes longer for one piece is told so, and the stream ends: it begins anew where it was. */
  slowMs: number
  /** Who has not taken it by then is cut off without a word: nobody who reads nothing keeps a place, or outlives his token for long. */
  cutOffMs: number
}

/** Somebody who listens, in this process. */
export interface Listener {
  readonly caller: Operator | SessionCaller
  /** Why it is over: told to the reader, who may be gone. */
  ended: StreamEnd['reason'] | 'gone' | undefined
  end(reason: StreamEnd['reason'] | 'gone'): void
  /** There may be something to tell. */
  wake(): void
  /** Until it is woken, or for so long. */
  rest(ms: number): Promise<void>
}

export function createListener(caller: Operator | SessionCaller): Listener {
  let resume = () => {}
  const listener: Listener = {
    caller,
    ended: undefined,
    end(reason) {
      listener.ended ??= reason
      resume()
    },
    wake: () => resume(),
    rest: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms)
        resume = () => {
          clearTimeout(timer)
          resolve()
        }
      }),
  }
  return listener
}

/**
 * Events for a listener, until it is over: who is barred where it does not begin behind what it heard before, then every change. It
 * reads on when what it read is taken, so that nobody's slowness fills the memory.
 * `from`: the number behind which the news begin. `last`: that of the newest, as far as this process knows.
 */
export async function* tellNews(
  database: Database,
  listener: Listener,
  from: { sequence: number; isResumed: boolean },
  last: () => number,
  timing: ListenerTiming,
): AsyncGenerator<string> {
  const { organizationId } = listener.caller
  const scope = scopeOf(listener.caller)
  if (!from.isResumed) yield* tellBarred(database, listener, scope, from.sequence)
  let position = from.sequence
  let toldAt = performance.now()
  while (listener.ended === undefined) {
    const to = last()
    const range = { above: position, to, limit: PAGE }
    const news = to > position ? await findNews(() => listNews(database, organizationId, scope, range)) : []
    if (news !== undefined) position = news.length < PAGE ? Math.max(position, to) : (news.at(-1)?.sequence ?? to)
    const silentMs = performance.now() - toldAt
    if (news !== undefined && news.length > 0) yield news.map(toEvent).join('')
    else if (silentMs >= timing.heartbeatMs) yield ':\n\n'
    else {
      const untilHeartbeatMs = timing.heartbeatMs - silentMs
      await listener.rest(news === undefined ? Math.min(timing.pollMs, untilHeartbeatMs) : untilHeartbeatMs)
      continue
    }
    toldAt = performance.now()
  }
  if (listener.ended !== 'gone') yield eventText('end', { reason: listener.ended } satisfies StreamEnd)
}

/** In pages of their ids. Only the last one has the number: who is cut off before has heard nothing. */
async function* tellBarred(database: Database, listener: Listener, scope: NewsScope, sequence: number) {
  let afterId = NIL_UUID
  while (listener.ended === undefined) {
    const page = { afterId, limit: SNAPSHOT_DEVICES }
    const found = await listBarredDevices(database, listener.caller.organizationId, scope, page)
    const isLast = found.length < SNAPSHOT_DEVICES
    const devices = found as RevocationSnapshot['devices']
    yield eventText('snapshot', { devices, isLast } satisfies RevocationSnapshot, isLast ? sequence : undefined)
    if (isLast) return
    afterId = found.at(-1)?.deviceId ?? NIL_UUID
  }
}

/** Undefined while the database is away: who listens waits for it. */
async function findNews(read: () => Promise<News[]>): Promise<News[] | undefined> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof DatabaseError && error.code === 'unavailable') return undefined
    throw error
  }
}

/** An operator hears of everybody; who runs federations, of their members. */
function scopeOf(caller: Operator | SessionCaller): NewsScope {
  if (hasRole(caller, 'operator')) return { of: 'organization' }
  return { of: caller.type === 'api_token' ? 'made' : 'assigned', id: caller.id }
}

function toEvent({ sequence, deviceId, status, changedAt }: News): string {
  return eventText('change', { deviceId, status, changedAt } as RevocationChange, sequence)
}

/** WHATWG HTML §9.2.6. JSON has no line break of its own. */
function eventText(name: string, data: object, id?: number): string {
  return `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}
