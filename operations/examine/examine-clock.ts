import { existsSync } from 'node:fs'
import type { Database } from '../../database/open.ts'
import { createClock, MAX_CLOCK_OFFSET_MS } from '../../runtime/clock.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('clock')

const NOTICEABLE_MS = 1_000
/** Of systemd's time service: the file is there while the clock is synchronized. */
const SYNCHRONIZED = '/run/systemd/timesync/synchronized'

/** This machine's clock beside the database's, by which the service goes. `now` is the database's. */
export async function examineClock(database: Database): Promise<{ findings: Finding[]; now: number }> {
  const clock = createClock(database.readClock)
  await clock.measure()
  const offsetMs = Math.round(clock.offsetMs())
  const distance = `this machine's clock is ${Math.abs(offsetMs)} ms off the database's`
  const advice = 'Synchronize the clocks of both machines (NTP).'
  const found =
    Math.abs(offsetMs) > MAX_CLOCK_OFFSET_MS
      ? problem(`${distance}; the service is not ready beyond ${MAX_CLOCK_OFFSET_MS} ms`, advice)
      : Math.abs(offsetMs) > NOTICEABLE_MS
        ? warning(distance, advice)
        : ok(distance)
  return { findings: [found, synchronization()], now: clock.now() }
}

export function synchronization(): Finding {
  if (existsSync(SYNCHRONIZED)) return ok('systemd says that the clock is synchronized')
  return unseen(
    'whether the clock is synchronized is not known here',
    'See that NTP runs: devices whose clock is right are refused by a server whose clock is not.',
  )
}
