import { concatenate } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'

/** Of SHA-256: every hash of the tree. */
export const HASH_BYTES = 32

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)

/** RFC 6962 §2.1: SHA-256 of 0x00 and the entry's bytes. */
export function leafHash(crypto: Primitives, entry: Uint8Array): Uint8Array {
  return crypto.sha256(concatenate([LEAF, entry]))
}

/** RFC 6962 §2.1: SHA-256 of 0x01 and the two hashes below. */
export function nodeHash(crypto: Primitives, left: Uint8Array, right: Uint8Array): Uint8Array {
  return crypto.sha256(concatenate([NODE, left, right]))
}

/** The root of an empty tree: SHA-256 of nothing. */
export function emptyRoot(crypto: Primitives): Uint8Array {
  return crypto.sha256(new Uint8Array(0))
}

/** A tree as a checkpoint names it: `size` leaves under `root`, 32 bytes. */
export interface TreeHead {
  size: number
  root: Uint8Array
}

/** RFC 9162 §2.1.3.2. `proof` is what an attacker may have made. Throws `log_invalid`. */
export function verifyInclusion(
  crypto: Primitives,
  leaf: { hash: Uint8Array; index: number },
  tree: TreeHead,
  proof: readonly Uint8Array[],
): void {
  const isPlaced = isSize(leaf.index) && isSize(tree.size) && leaf.index < tree.size
  if (!isPlaced) throw invalid(`Index ${leaf.index} is not in a tree of ${tree.size}.`)
  let [node, last] = [leaf.index, tree.size - 1]
  let hash = leaf.hash
  for (const sibling of proof) {
    if (last === 0) throw invalid('The inclusion proof is too long.')
    if (isOdd(node) || node === last) {
      hash = nodeHash(crypto, sibling, hash)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else {
      hash = nodeHash(crypto, hash, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  if (last !== 0) throw invalid('The inclusion proof is too short.')
  if (!crypto.equal(hash, tree.root)) throw invalid(`Entry ${leaf.index} is not what the tree of ${tree.size} holds.`)
}

/** RFC 9162 §2.1.4.2: `older` is the beginning of `newer`. `proof` is what an attacker may have made. Throws `log_invalid`. */
export function verifyConsistency(
  crypto: Primitives,
  older: TreeHead,
  newer: TreeHead,
  proof: readonly Uint8Array[],
): void {
  const isOlder = isSize(older.size) && isSize(newer.size) && older.size <= newer.size
  if (!isOlder) throw invalid(`A tree of ${older.size} does not begin one of ${newer.size}.`)
  if (older.size === 0 || older.size === newer.size) {
    if (proof.length > 0) throw invalid('The consistency proof is too long.')
    const expected = older.size === 0 ? emptyRoot(crypto) : newer.root
    if (!crypto.equal(older.root, expected)) throw invalid(`There are two trees of size ${older.size}.`)
    return
  }
  let [node, last] = [older.size - 1, newer.size - 1]
  while (isOdd(node)) [node, last] = [half(node), half(last)]
  // The older tree is one perfect subtree: its root is the first hash of the proof, and is left out.
  const hashes = node === 0 ? [older.root, ...proof] : proof
  const [first, ...rest] = hashes
  if (first === undefined) throw invalid('The consistency proof is empty.')
  let [olderHash, newerHash] = [first, first]
  for (const sibling of rest) {
    if (last === 0) throw invalid('The consistency proof is too long.')
    if (isOdd(node) || node === last) {
      olderHash = nodeHash(crypto, sibling, olderHash)
      newerHash = nodeHash(crypto, sibling, newerHash)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else {
      newerHash = nodeHash(crypto, newerHash, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  if (last !== 0) throw invalid('The consistency proof is too short.')
  if (!crypto.equal(olderHash, older.root) || !crypto.equal(newerHash, newer.root)) {
    throw invalid(`The tree of ${newer.size} does not continue that of ${older.size}.`)
  }
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}

// Sizes go up to 2^53: the bitwise operators end at 2^32.
function isOdd(n: number): boolean {
  return n % 2 === 1
}

function half(n: number): number {
  return Math.floor(n / 2)
}

function invalid(message: string): ProtocolError {
  return new ProtocolError('log_invalid', message)
}
