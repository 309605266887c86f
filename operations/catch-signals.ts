import { OperationError } from './operation-error.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * From here to its disposal a signal does not end the process, but aborts `signal`: what was begun (a server that was started, a
 * folder half written) is undone on the way out. Further signals change nothing, so that undoing is not cut short.
 */
export function catchSignals(): Disposable & { signal: AbortSignal } {
  const controller = new AbortController()
  const abort = () => controller.abort(new OperationError('interrupted', 'Interrupted: what was begun is undone.'))
  for (const name of signals) process.on(name, abort)
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of signals) process.off(name, abort)
    },
  }
}
