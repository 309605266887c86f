// The tree of QFLARE's audit log written from RFC 9162 and C2SP tlog-tiles alone, for independent-log-verifier.js: it shares no
// code with the repository and uses nothing but Node's builtins.
import crypto from 'node:crypto'

export function must(condition, message) {
  if (!condition) throw new Error(message)
}
export const sha256 = (...parts) => crypto.createHash('sha256').update(Buffer.concat(parts)).digest()
export const isSame = (a, b) => Buffer.compare(a, b) === 0

// ---- RFC 9162 §2.1: the tree ------------------------------------------------------------------------------------------
export const leafHash = (entry) => sha256(Buffer.of(0), entry)
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right)

/** The tree that grows leaf by leaf: of its perfect subtrees, one for each 1 in the binary form of the size, the largest first. */
export function growingTree(size = 0n, hashes = []) {
  const heights = []
  for (let height = 60n; height >= 0n; height--) if ((size >> height) & 1n) heights.push(height)
  must(heights.length === hashes.length, `the tree of ${size} has ${heights.length} perfect subtrees`)
  const stack = hashes.map((hash, at) => ({ height: heights[at], hash }))
  return {
    add(leaf) {
      let top = { height: 0n, hash: leaf }
      while (stack.length > 0 && stack.at(-1).height === top.height) {
        top = { height: top.height + 1n, hash: nodeHash(stack.pop().hash, top.hash) }
      }
      stack.push(top)
    },
    root: () => (stack.length === 0 ? sha256() : stack.map(({ hash }) => hash).reduceRight((r, l) => nodeHash(l, r))),
  }
}

/** The root of the first `size` of these leaf hashes, for many sizes of one list: every tree is hashed once. */
export function rootsOver(leaves) {
  const perfect = new Map()
  function root(start, end) {
    const n = end - start
    if (n === 1) return leaves[start]
    const isPerfect = (BigInt(n) & BigInt(n - 1)) === 0n
    const known = isPerfect ? perfect.get(`${start}+${n}`) : undefined
    if (known !== undefined) return known
    let k = 1
    while (k * 2 < n) k *= 2
    const hash = nodeHash(root(start, start + k), root(start + k, end))
    if (isPerfect) perfect.set(`${start}+${n}`, hash)
    return hash
  }
  return (size) => (size === 0 ? sha256() : root(0, size))
}

/** RFC 9162 §2.1.3.2, word for word. */
export function verifyInclusion(leaf, index, size, path, root) {
  const [leafIndex, treeSize] = [BigInt(index), BigInt(size)]
  must(leafIndex >= 0n && leafIndex < treeSize, `entry ${index} is not in a tree of ${size}`)
  let fn = leafIndex
  let sn = treeSize - 1n
  let r = leaf
  for (const p of path) {
    must(sn !== 0n, 'the inclusion path is too long')
    if ((fn & 1n) === 1n || fn === sn) {
      r = nodeHash(p, r)
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n]
    } else {
      r = nodeHash(r, p)
    }
    ;[fn, sn] = [fn >> 1n, sn >> 1n]
  }
  must(sn === 0n, 'the inclusion path is too short')
  must(isSame(r, root), `entry ${index} is not what the tree holds`)
}

/** RFC 9162 §2.1.4.2; the cases that it leaves to the caller first. */
export function verifyConsistency(older, newer, path, olderRoot, newerRoot) {
  const [first, second] = [BigInt(older), BigInt(newer)]
  must(first >= 0n && first <= second, `a tree of ${older} does not begin one of ${newer}`)
  if (first === 0n || first === second) {
    must(path.length === 0, 'a consistency path where there is nothing to prove')
    must(isSame(olderRoot, first === 0n ? sha256() : newerRoot), `two trees of size ${older}`)
    return
  }
  must(path.length > 0, 'the consistency path is empty')
  const consistency = (first & (first - 1n)) === 0n ? [olderRoot, ...path] : path
  let fn = first - 1n
  let sn = second - 1n
  while ((fn & 1n) === 1n) [fn, sn] = [fn >> 1n, sn >> 1n]
  let [fr, sr] = [consistency[0], consistency[0]]
  for (const c of consistency.slice(1)) {
    must(sn !== 0n, 'the consistency path is too long')
    if ((fn & 1n) === 1n || fn === sn) {
      ;[fr, sr] = [nodeHash(c, fr), nodeHash(c, sr)]
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n]
    } else {
      sr = nodeHash(sr, c)
    }
    ;[fn, sn] = [fn >> 1n, sn >> 1n]
  }
  must(sn === 0n, 'the consistency path is too short')
  must(isSame(fr, olderRoot) && isSame(sr, newerRoot), `the tree of ${newer} does not continue that of ${older}`)
}

// ---- C2SP tlog-tiles --------------------------------------------------------------------------------------------------
function tilePath(level, index, width) {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0')
  const groups = digits.match(/.{3}/g)
  const path = groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/')
  return `${level}/${path}${width === 256 ? '' : `.p/${width}`}`
}

/**
 * The root of a tree of `size` from its tiles, each of which has to be what the tile above says. `fetchTile`: the bytes of a tile by
 * its path.
 */
export async function rootFromTiles(size, fetchTile) {
  const hashesOf = async (level, count) => {
    const hashes = []
    for (let tile = 0; tile * 256 < count; tile++) {
      const width = Math.min(256, count - tile * 256)
      const bytes = await fetchTile(tilePath(level, tile, width))
      must(bytes.length === width * 32, `tile ${tilePath(level, tile, width)} has ${bytes.length} bytes`)
      for (let at = 0; at < width; at++) hashes.push(Buffer.from(bytes.subarray(at * 32, at * 32 + 32)))
    }
    return hashes
  }
  const leaves = await hashesOf(0, size)
  let below = leaves
  for (let level = 1; below.length >= 256; level++) {
    const hashes = await hashesOf(level, Math.floor(below.length / 256))
    for (const [at, hash] of hashes.entries()) {
      must(
        isSame(rootsOver(below.slice(at * 256, at * 256 + 256))(256), hash),
        `tile ${at} below level ${level} differs`,
      )
    }
    below = hashes
  }
  return { root: rootsOver(leaves)(size), leaves }
}
