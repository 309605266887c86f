/** Milliseconds since the Unix epoch, by the database's clock: a process corrects its own by the offset that it measured. */
export interface Clock {
  now(): number
  /** How far the machine's clock is from the database's, in milliseconds. */
  offsetMs(): number
  /** By the corrected clock; undefined until the first measurement. */
  measuredAt(): number | undefined
  measure(): Promise<void>
}

/** Beyond this the process is not ready (docs/protocol.md §2). */
export const MAX_CLOCK_OFFSET_MS = 5_000

/** A clock that nobody can set: it runs from the process's start. */
const steady = () => performance.timeOrigin + performance.now()

/**
 * `read` asks the database for its clock; the answer is taken to be from the middle of the round trip. `local` carries the time
 * on between two measurements and does not jump when the machine's clock is set; `wall` is that clock.
 */
export function createClock(
  read: () => Promise<number>,
  local: () => number = steady,
  wall: () => number = local === steady ? Date.now : local,
): Clock {
  let correction = 0
  let offset = 0
  let measuredAt: number | undefined
  return {
    now: () => Math.floor(local() + correction),
    offsetMs: () => offset,
    measuredAt: () => measuredAt,
    async measure() {
      const asked = local()
      const remote = await read()
      const answered = local()
      correction = remote - (asked + answered) / 2
      offset = correction + answered - wall()
      measuredAt = answered + correction
    },
  }
}
