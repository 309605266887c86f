import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/**
 * Ends what OpenSSL holds of private keys that nobody refers to any more: it wipes them when V8 collects the objects that they hang
 * on, and V8 of a process that has little to do collects nothing for hours. Stops the process for some ten milliseconds.
 */
export function collectDroppedKeys(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
}

/** Private keys that nobody is given any more. What is under way may still use one: then it is collected when that is done. */
export interface DroppedKeys {
  add(key: object): void
  /** While one of them is left, all that are dropped are collected; called by a timer. */
  collect(): void
}

export function createDroppedKeys(): DroppedKeys {
  let left: WeakRef<object>[] = []
  return {
    add(key) {
      left.push(new WeakRef(key))
    },
    collect() {
      if (left.length === 0) return
      collectDroppedKeys()
      left = left.filter((key) => key.deref() !== undefined)
    },
  }
}
