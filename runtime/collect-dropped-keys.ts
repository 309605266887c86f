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
