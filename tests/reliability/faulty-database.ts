import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'

/**
 * What becomes of a transaction that is reported as failed: nothing of it is stored; all of it is stored; or all of it is stored a
 * moment later, when whoever gave it up is at work on what comes next.
 */
export const lies = ['lost', 'stored', 'stored later'] as const
export type Lie = (typeof lies)[number]

/** What the sequencer does with the log, by the statement that does it; `take_over` opens it. */
export const changes = ['take_over', 'advance_log', 'insert_checkpoint', 'publish_checkpoint'] as const
export type Change = (typeof changes)[number]

/** A real database between which and its caller the answers of some transactions are lost. `settle` before it is closed. */
export function withLies(
  database: Database,
  decide: (change: Change) => Lie | undefined,
): Database & { settle(): Promise<void> } {
  const late = new Set<Promise<unknown>>()

  async function run<T>(change: Change | undefined, work: () => Promise<T>): Promise<T> {
    const lie = change && decide(change)
    if (lie === undefined) return work()
    if (lie === 'stored') await work()
    if (lie === 'stored later') {
      // Whether it is still allowed to then is for the database to say.
      const done = sleep(Math.random() * 800)
        .then(work)
        .catch(() => {})
        .finally(() => late.delete(done))
      late.add(done)
    }
    throw new DatabaseError('unavailable', `The answer to ${change} was lost: ${lie}.`)
  }

  return {
    ...database,
    sendTransaction: (scope, statements) =>
      run(
        changes.find((change) => statements.some(({ name }) => name === change)),
        () => database.sendTransaction(scope, statements),
      ),
    withOrganization: (id, work) => run('take_over', () => database.withOrganization(id, work)),
    async settle() {
      await Promise.all(late)
    },
  }
}
