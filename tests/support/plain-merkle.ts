import { createHash } from 'node:crypto'

/**
 * RFC 6962 §2.1 as its text has it, recursively and with nothing of ours, over leaves that are given by their hashes. Indexes
 * are bigints, so that no arithmetic is shared either.
 */
export interface PlainTree {
  /** MTH(D[start:end]). */
  root(start: bigint, end: bigint): Buffer
  /** PATH(m, D[0:n]), the leaf's sibling first. */
  path(m: bigint, n: bigint): Buffer[]
  /** PROOF(m, D[0:n]). */
  proof(m: bigint, n: bigint): Buffer[]
}

export function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** `known`: the hash of D[start:end] where it needs no recursion: of every leaf, and of whatever else is cheaper so. */
export function plainTree(known: (start: bigint, end: bigint) => Buffer | undefined): PlainTree {
  const memo = new Map<string, Buffer>()

  function root(start: bigint, end: bigint): Buffer {
    if (start === end) return sha256()
    const name = `${start}-${end}`
    const hash = memo.get(name) ?? known(start, end) ?? split(start, end)
    memo.set(name, hash)
    return hash
  }

  function split(start: bigint, end: bigint): Buffer {
    const k = largestPowerBelow(end - start)
    return sha256(Buffer.of(1), root(start, start + k), root(start + k, end))
  }

  function path(m: bigint, start: bigint, end: bigint): Buffer[] {
    if (end - start === 1n) return []
    const k = largestPowerBelow(end - start)
    return m < k
      ? [...path(m, start, start + k), root(start + k, end)]
      : [...path(m - k, start + k, end), root(start, start + k)]
  }

  function subproof(m: bigint, start: bigint, end: bigint, isWhole: boolean): Buffer[] {
    if (m === end - start) return isWhole ? [] : [root(start, end)]
    const k = largestPowerBelow(end - start)
    return m <= k
      ? [...subproof(m, start, start + k, isWhole), root(start + k, end)]
      : [...subproof(m - k, start + k, end, false), root(start, start + k)]
  }

  return { root, path: (m, n) => path(m, 0n, n), proof: (m, n) => subproof(m, 0n, n, true) }
}

/** Of a list of entries. */
export function plainTreeOf(entries: readonly Uint8Array[]): PlainTree {
  return plainTree((start, end) => {
    const entry = entries[Number(start)]
    return end - start === 1n && entry !== undefined ? sha256(Buffer.of(0), entry) : undefined
  })
}

/**
 * Of as many leaves as one likes: `leaf` of every index, which changes at `edges` only, so that all subtrees between two of
 * them with one size are one.
 */
export function plainTreeOfRuns(leaf: (index: bigint) => Buffer, edges: readonly bigint[]): PlainTree {
  const uniform = new Map<string, Buffer>()
  function ofSize(hash: Buffer, size: bigint): Buffer {
    if (size === 1n) return hash
    const name = `${hash.toString('hex')} ${size}`
    const k = largestPowerBelow(size)
    const root = uniform.get(name) ?? sha256(Buffer.of(1), ofSize(hash, k), ofSize(hash, size - k))
    uniform.set(name, root)
    return root
  }
  return plainTree((start, end) =>
    edges.some((edge) => start < edge && edge < end) ? undefined : ofSize(leaf(start), end - start),
  )
}

function largestPowerBelow(n: bigint): bigint {
  let k = 1n
  while (k * 2n < n) k *= 2n
  return k
}
