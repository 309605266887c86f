import { setTimeout as sleep } from 'node:timers/promises'
import { isUuid } from '../../protocol/encoding.ts'
import type { Operator, SessionCaller } from '../caller.ts'
import { createRefusalTally, minuteOf, type NoteRefusal, type RefusedMinute } from './refusal-tally.ts'
import { isDatabaseAway, type TellRefusalsParts, tellRefusals } from './tell-refusals.ts'

export interface Refusals {
  note: NoteRefusal
  /** Tells what was noted, the minute that is not over too: once, and for a few seconds at most. */
  close(): Promise<void>
}

/** A stop does not wait longer for a database that does not answer. */
const LAST_TELLING_MS = 5_000

/**
 * Refusals are counted in memory and told at the turn of each minute, by an event for each subject (docs/decisions/0040). Nothing of
 * that is on the way of a request. `lookEveryMs`: whether a minute is over, by the service's clock, which may be set.
 */
export function createRefusals(parts: TellRefusalsParts, lookEveryMs = 1_000): Refusals {
  const { clock, logger, metrics } = parts
  const tally = createRefusalTally(clock, (count, why) => metrics.refusalsUntold.inc({ why }, count))
  let triedIn = minuteOf(clock.now())
  let telling: Promise<void> | undefined

  async function tell(minutes: RefusedMinute[]): Promise<void> {
    const left: RefusedMinute[] = []
    let isAway = false
    for (const minute of minutes) {
      try {
        if (!isAway) await tellRefusals(parts, minute)
        else left.push(minute)
      } catch (error) {
        logger.error('refusals could not be told to the audit log', {}, error)
        isAway = isDatabaseAway(error)
        left.push(minute)
      }
    }
    tally.putBack(left)
  }

  const timer = setInterval(() => {
    const minute = minuteOf(clock.now())
    if (minute === triedIn || telling !== undefined) return
    triedIn = minute
    telling = tell(tally.take()).finally(() => {
      telling = undefined
    })
  }, lookEveryMs)

  return {
    note: tally,
    async close() {
      clearInterval(timer)
      const last = (async () => {
        await telling
        await tell(tally.take('open'))
      })()
      await Promise.race([last, sleep(LAST_TELLING_MS, undefined, { ref: false })])
      const minutes = tally.take('open').length
      if (minutes > 0) logger.error('refusals are lost that were not told to the audit log', { count: minutes })
    },
  }
}

/** Parts of a path that name what the directory has. */
const known = /\/(?:devices|api-tokens|enrollment-tokens|members|coordinators)\/:(\w+)/g

/** Of a request for something that the caller's organization does not have: the ids that its path names. */
export function noteNotFound(
  note: NoteRefusal,
  caller: Operator | SessionCaller,
  { method, path }: { method: string; path: string },
  params: Readonly<Record<string, string>>,
): void {
  for (const [, name = ''] of path.matchAll(known)) {
    const id = params[name]
    if (id !== undefined && isUuid(id)) note.notFound(caller, `${method.toUpperCase()} ${path}`, id)
  }
}
