import type { Clock } from '../../runtime/clock.ts'
import type { Operator, SessionCaller } from '../caller.ts'

/** What is counted of a subject in a minute, by the type of the event that tells of it. */
const nothingYet = {
  'exchange.refused': { signature: 0, replayed: 0, window: 0, offsetBuckets: 0, inactive: 0 },
  'api_token.refused': { secret: 0, ended: 0 },
  'enrollment_token.refused': { secret: 0, used: 0, ended: 0 },
}
type Counts = typeof nothingYet

/** One subject of a minute. */
export type Refused = {
  [T in keyof Counts]: {
    type: T
    id: string
    /** Undefined of an id that somebody claimed and nobody looked up: the directory says whose it is, if it is anybody's. */
    organizationId: string | undefined
    standing: Standing
    counts: Counts[T]
  }
}[keyof Counts]

/**
 * What is known of an id when it is noted: that its own secret or key was shown, that it exists, or nothing. Each has room of its
 * own, so that who invents ids does not take it from ids that exist, nor who knows of those from what was proved.
 */
export const standings = ['proved', 'known', 'claimed'] as const
export type Standing = (typeof standings)[number]

/** Not found for a caller under this id: whose it is, the directory says. */
export interface AskedId {
  caller: Operator | SessionCaller
  /** Method and path as they are declared. */
  route: string
  id: string
  count: number
}

export interface RefusedMinute {
  /** Its beginning, in milliseconds since the Unix epoch. */
  since: number
  refused: Record<Standing, Map<string, Refused>>
  asked: Map<string, AskedId>
  /** Of each caller, how many ids are in `asked`. */
  idsOfCaller: Map<string, number>
}

/** Takes what was refused: at once, without waiting for anything, and whatever it is given. */
export interface NoteRefusal {
  /** `organizationId`: undefined of a device that is not known. `inactive`: the signature is right. */
  exchange(deviceId: string, why: 'signature' | 'replayed' | 'inactive', organizationId: string | undefined): void
  /** Nobody has looked whether there is such a device. `offsetBuckets`: of the bucket that it named from the current one. */
  window(deviceId: string, offsetBuckets: number): void
  /** `ended`: the secret is right. */
  apiToken(token: { id: string; organizationId: string }, why: 'secret' | 'ended'): void
  /** `used`, `ended`: the secret is right. */
  enrollmentToken(token: { id: string; organizationId: string }, why: 'secret' | 'used' | 'ended'): void
  notFound(caller: Operator | SessionCaller, route: string, id: string): void
}

export interface RefusalTally extends NoteRefusal {
  /** The minutes that are over, oldest first, and with `open` the one that is not: they are the caller's then. */
  take(open?: 'open'): RefusedMinute[]
  /** What could not be told, for the next time. Of more than `MAX_MINUTES` the oldest goes. */
  putBack(minutes: readonly RefusedMinute[]): void
}

export const MINUTE_MS = 60_000
/** Of each standing in a minute; as many ids again that were not found. About 300 bytes each. */
export const MAX_SUBJECTS = 4_096
/** Of those, of one caller. */
export const MAX_IDS_OF_CALLER = 64
/** That wait to be told. */
export const MAX_MINUTES = 5

/** `onUntold`: so many refusals leave no event. */
export function createRefusalTally(
  clock: Pick<Clock, 'now'>,
  onUntold: (count: number, why: 'subjects' | 'outage') => void,
): RefusalTally {
  let open = emptyMinute(minuteOf(clock.now()))
  let over: RefusedMinute[] = []

  function turn(): RefusedMinute {
    const since = minuteOf(clock.now())
    // Another one, not a later one: a clock that was wrong may be put back by years.
    if (since !== open.since) {
      if (!isEmpty(open)) keep([...over, open])
      open = emptyMinute(since)
    }
    return open
  }

  function keep(minutes: RefusedMinute[]): void {
    over = minutes.slice(-MAX_MINUTES)
    for (const lost of minutes.slice(0, -MAX_MINUTES)) onUntold(countAll(lost), 'outage')
  }

  function find<T extends keyof Counts>(
    type: T,
    id: string,
    organizationId: string | undefined,
    standing: Standing,
  ): Counts[T] | undefined {
    const room = turn().refused[standing]
    const key = `${type} ${id}`
    const known = room.get(key)
    if (known !== undefined) return known.counts as Counts[T]
    if (room.size >= MAX_SUBJECTS) {
      onUntold(1, 'subjects')
      return undefined
    }
    const counts = { ...nothingYet[type] }
    room.set(key, { type, id, organizationId, standing, counts } as Refused)
    return counts
  }

  return {
    exchange(deviceId, why, organizationId) {
      const standing = why === 'inactive' ? 'proved' : organizationId === undefined ? 'claimed' : 'known'
      const counts = find('exchange.refused', deviceId, organizationId, standing)
      if (counts !== undefined) counts[why]++
    },

    window(deviceId, offsetBuckets) {
      const counts = find('exchange.refused', deviceId, undefined, 'claimed')
      if (counts === undefined) return
      counts.window++
      if (Math.abs(offsetBuckets) > Math.abs(counts.offsetBuckets)) counts.offsetBuckets = offsetBuckets
    },

    apiToken({ id, organizationId }, why) {
      const counts = find('api_token.refused', id, organizationId, why === 'secret' ? 'known' : 'proved')
      if (counts !== undefined) counts[why]++
    },

    enrollmentToken({ id, organizationId }, why) {
      const counts = find('enrollment_token.refused', id, organizationId, why === 'secret' ? 'known' : 'proved')
      if (counts !== undefined) counts[why]++
    },

    notFound(caller, route, id) {
      const { asked, idsOfCaller } = turn()
      const key = `${caller.id} ${route} ${id}`
      const known = asked.get(key)
      if (known !== undefined) {
        known.count++
        return
      }
      const ids = idsOfCaller.get(caller.id) ?? 0
      if (ids >= MAX_IDS_OF_CALLER || asked.size >= MAX_SUBJECTS) {
        onUntold(1, 'subjects')
        return
      }
      idsOfCaller.set(caller.id, ids + 1)
      asked.set(key, { caller, route, id, count: 1 })
    },

    take(which) {
      turn()
      const taken = over
      over = []
      if (which === undefined || isEmpty(open)) return taken
      taken.push(open)
      open = emptyMinute(open.since)
      return taken
    },

    putBack(minutes) {
      keep([...minutes, ...over])
    },
  }
}

export function minuteOf(now: number): number {
  return Math.floor(now / MINUTE_MS) * MINUTE_MS
}

/** How many refusals it stands for: a distance is none. */
export function countOf({ counts }: Refused): number {
  const { offsetBuckets: _distance, ...added } = { offsetBuckets: 0, ...counts }
  return Object.values(added).reduce((sum, count) => sum + count, 0)
}

function countAll({ refused, asked }: RefusedMinute): number {
  const subjects = standings.flatMap((standing) => [...refused[standing].values()])
  const ofSubjects = subjects.reduce((sum, subject) => sum + countOf(subject), 0)
  return [...asked.values()].reduce((sum, { count }) => sum + count, ofSubjects)
}

function emptyMinute(since: number): RefusedMinute {
  const refused = { proved: new Map(), known: new Map(), claimed: new Map() }
  return { since, refused, asked: new Map(), idsOfCaller: new Map() }
}

function isEmpty({ refused, asked }: RefusedMinute): boolean {
  return asked.size === 0 && standings.every((standing) => refused[standing].size === 0)
}
