import type { Logger } from './logger.ts'

export interface StopSignals {
  /** What is to be stopped; when a signal came before this, it is stopped at once. */
  onStop(stop: () => Promise<void>): void
  stop(exitCode: number, reason: string): void
}

/** Ctrl-C reaches this process from the terminal and once more from npm, which passes on its own: one press, not two. */
const ONE_PRESS_MS = 1_000

/** SIGTERM and SIGINT drain and end with 0; the second signal, a moment later, ends at once with 1. */
export function stopOnSignals(logger: Logger): StopSignals {
  let exitCode: number | undefined
  let signalledAt = Number.NEGATIVE_INFINITY
  let stopAll: (() => Promise<void>) | undefined

  async function finish(): Promise<void> {
    if (exitCode === undefined || stopAll === undefined) return
    try {
      await stopAll()
      logger.info('stopped')
      process.exit(exitCode)
    } catch (error) {
      logger.error('the service did not stop cleanly', {}, error)
      process.exit(1)
    }
  }

  function stop(code: number, reason: string): void {
    if (exitCode !== undefined) return
    exitCode = code
    if (code === 0) logger.info(`stopping: ${reason}`)
    else logger.error(`stopping: ${reason}`)
    void finish()
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const isSamePress = performance.now() < signalledAt + ONE_PRESS_MS
      if (!isSamePress) signalledAt = performance.now()
      if (exitCode === undefined) stop(0, signal)
      else if (!isSamePress) {
        process.exit(1)
      }
    })
  }
  return {
    stop,
    onStop(stopService) {
      stopAll = stopService
      void finish()
    },
  }
}
