/** Milliseconds since the Unix epoch, by the database's clock: a process corrects its own by the offset that it measured. */
export interface Clock {
  now(): number
  /** What is added to the process's clock, in milliseconds. */
  offsetMs(): number
  /** By the corrected clock; undefined until the first measurement. */
  measuredAt(): number | undefined
  measure(): Promise<void>
}

/** Beyond this the process is not ready (docs/protocol.md §2). */
export const MAX_CLOCK_OFFSET_MS = 5_000

/** `read` asks the database for its clock; the answer is taken to be from the middle of the round trip. */
export function createClock(read: () => Promise<number>, local: () => number = Date.now): Clock {
  let offset = 0
  let measuredAt: number | undefined
  return {
    now: () => Math.floor(local() + offset),
    offsetMs: () => offset,
    measuredAt: () => measuredAt,
    async measure() {
      const asked = local()
      const remote = await read()
      const answered = local()
      offset = remote - (asked + answered) / 2
      measuredAt = answered + offset
    },
  }
}
