import { describe, expect, it } from 'vitest'
import { createFrontier } from '../../../../protocol/log/frontier.ts'
import { emptyRoot, leafHash, verifyConsistency, verifyInclusion } from '../../../../protocol/log/merkle.ts'
import { makeMemoryLog, rootsOf } from '../../../support/memory-log.ts'
import { plainTreeOf } from '../../../support/plain-merkle.ts'
import { providers, toHex } from '../../../support/protocol-providers.ts'

// The test vectors that the reference implementation of Certificate Transparency has for RFC 6962.
const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const [a, b, c, d, e, f, g, h] = [
  '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
] as [string, string, string, string, string, string, string, string]
const [rootOfTwo] = roots.slice(2) as [string]
const inclusion: [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [0, 8, [a, b, c]],
  [5, 8, [d, e, f]],
  [2, 3, [rootOfTwo]],
  [1, 5, [h, b, d]],
]
const consistency: [from: number, to: number, proof: string[]][] = [
  [1, 1, []],
  [1, 8, [a, b, c]],
  [6, 8, [g, e, f]],
  [2, 5, [b, d]],
]

const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const tree = (size: number) => ({ size, root: fromHex(roots[size] as string) })

describe.each(providers)('with $provider the tree of RFC 6962', (crypto) => {
  const entries = leaves.map(fromHex)
  const hashes = entries.map((entry) => leafHash(crypto, entry))
  const log = makeMemoryLog(crypto, [], [])

  it('has the known roots of 0 to 8 leaves', () => {
    expect(rootsOf(crypto, hashes).map(toHex)).toEqual(roots)
    expect(toHex(log.root(0))).toBe(roots[0])
    expect(toHex(emptyRoot(crypto))).toBe(roots[0])
  })

  it.each(inclusion)('proves that entry %i is in the tree of %i with the known hashes', (index, size, proof) => {
    const hash = hashes[index] as Uint8Array
    verifyInclusion(crypto, { hash, index }, tree(size), proof.map(fromHex))
    expect(plainTreeOf(entries).path(BigInt(index), BigInt(size)).map(toHex)).toEqual(proof)
  })

  it.each(consistency)('proves that the tree of %i begins that of %i with the known hashes', (from, to, proof) => {
    verifyConsistency(crypto, tree(from), tree(to), proof.map(fromHex))
    expect(plainTreeOf(entries).proof(BigInt(from), BigInt(to)).map(toHex)).toEqual(proof)
  })

  it('goes on from the perfect subtrees of any of its beginnings', () => {
    for (let size = 0; size <= 8; size++) {
      const whole = createFrontier(crypto)
      for (const hash of hashes.slice(0, size)) whole.append(hash)
      const resumed = createFrontier(crypto, size, whole.hashes())
      for (const hash of hashes.slice(size)) resumed.append(hash)
      expect([resumed.size(), toHex(resumed.root())]).toEqual([8, roots[8]])
    }
  })
})
