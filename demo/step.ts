import { measureStep, type StepResult } from './measure-step.ts'
import type { Stage } from './stage.ts'

/** One step of the show: does `work` on every item, and says what it `shown`. Gives what was done. */
export type Step = <I, O>(
  title: string,
  items: readonly I[],
  work: (item: I) => Promise<O>,
  shown: (done: O[]) => string,
) => Promise<O[]>

/** Steps whose results are put into `results`. */
export function createStep(stage: Stage, results: StepResult[], signal: AbortSignal): Step {
  return async (title, items, work, shown) => {
    // What failed before is in the results already.
    if (items.length === 0 || signal.aborted) return []
    const line = stage.step(title, items.length)
    const { done, result } = await measureStep(title, items, work, { onItem: line.advance, signal })
    line.end(result, result.problems.length === 0 ? shown(done) : '')
    results.push(result)
    return done
  }
}
