import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { emptyRoot, nodeHash } from './merkle.ts'

/**
 * All that is needed of the first `size` leaves to go on with the tree: the roots of its perfect subtrees, the largest, which
 * is the leftmost, first. There is one for each 1 in the binary form of `size`.
 */
export interface Frontier {
  size(): number
  /** `hash`: of the next leaf. */
  append(hash: Uint8Array): void
  root(): Uint8Array
  hashes(): Uint8Array[]
}

/** Throws `log_invalid` when the number of hashes is not that of `size`. */
export function createFrontier(crypto: Primitives, size = 0, hashes: readonly Uint8Array[] = []): Frontier {
  if (hashes.length !== countOnes(size)) {
    throw new ProtocolError('log_invalid', `The frontier of ${size} leaves has ${countOnes(size)} hashes.`)
  }
  let count = size
  const stack = [...hashes]
  return {
    size: () => count,
    append(hash) {
      let node = hash
      for (let rest = count; rest % 2 === 1; rest = Math.floor(rest / 2)) {
        node = nodeHash(crypto, stack.pop() as Uint8Array, node)
      }
      stack.push(node)
      count += 1
    },
    root: () => foldRight(crypto, stack),
    hashes: () => [...stack],
  }
}

/** The root over perfect subtrees that stand side by side, the largest first. */
export function foldRight(crypto: Primitives, hashes: readonly Uint8Array[]): Uint8Array {
  const root = hashes.reduceRight<Uint8Array | undefined>(
    (right, left) => (right === undefined ? left : nodeHash(crypto, left, right)),
    undefined,
  )
  return root ?? emptyRoot(crypto)
}

function countOnes(n: number): number {
  let ones = 0
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2
  return ones
}
