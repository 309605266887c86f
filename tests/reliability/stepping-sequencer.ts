import type { Database } from '../../database/open.ts'
import type { WriterStep } from '../../workers/sequencer/log-writer.ts'
import type { LogUnderTest } from './log-under-test.ts'

/** What a sequencer does in this order: it opens the log and publishes it, then takes one batch. */
export const journey: readonly WriterStep[] = [
  ...(['signed', 'committed', 'written', 'published'] as const),
  ...(['taken', 'appended', 'signed', 'committed', 'written', 'published'] as const),
]

/** A sequencer without the lock, which believes that it is its turn, and stands still after each step until it is told to go on. */
export interface SteppingSequencer {
  /** To the next step; it becomes the sequencer with the first. False at the end of its journey. Throws what it failed with. */
  step(): Promise<boolean>
  steps(count: number): Promise<void>
  finish(): Promise<void>
}

export function createSteppingSequencer(log: LogUnderTest, database: Database): SteppingSequencer {
  let next = Promise.withResolvers<boolean>()
  let goOn: (() => void) | undefined

  async function travel(): Promise<void> {
    const { writer } = await log.open({
      database,
      onStep() {
        next.resolve(true)
        return new Promise((resolve) => (goOn = resolve))
      },
    })
    if ((await writer.append()).entries.length > 0) await writer.publish()
  }

  async function step(): Promise<boolean> {
    next = Promise.withResolvers()
    if (goOn !== undefined) goOn()
    else
      travel().then(
        () => next.resolve(false),
        (error: unknown) => next.reject(error),
      )
    return next.promise
  }

  return {
    step,
    async steps(count) {
      for (let taken = 0; taken < count; taken++) await step()
    },
    async finish() {
      for (let isUnderWay = true; isUnderWay; ) isUnderWay = await step()
    },
  }
}
