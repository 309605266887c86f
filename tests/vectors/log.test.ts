import { describe, expect, it } from 'vitest'
import { fromBase64Padded, fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { createExportVerifier } from '../../protocol/log/audit-export.ts'
import { cosignedMessage, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../protocol/log/merkle.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { formatVerifierKey, parseVerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import { logVectors as vectors } from '../support/protocol-log-vectors.ts'
import { ownVectors } from '../support/protocol-own-vectors.ts'
import { providers, refusalOf, toUtf8 } from '../support/protocol-providers.ts'

const { seeds, verifierKeys, checkpoints, roots, timestamps, origin } = vectors

describe.each(providers)('$provider', (crypto) => {
  const witness = parseVerifierKey(crypto, verifierKeys.witness)
  const mlDsa87 = parseVerifierKey(crypto, verifierKeys.mlDsa87)
  const keys = { log: [parseVerifierKey(crypto, verifierKeys.mlDsa44), mlDsa87], witnesses: [witness] }

  it.each([
    ['mlDsa44', 'ML-DSA-44', 'cosignature', origin],
    ['mlDsa87', 'ML-DSA-87', 'mlDsa87', origin],
    ['witness', 'ML-DSA-44', 'cosignature', witness.name],
  ] as const)('publishes the key %s in that line', (name, alg, kind, keyName) => {
    const { publicKey } = crypto.importSigningKey(alg, fromBase64url(seeds[name], 32))
    expect(formatVerifierKey(verifierKey(crypto, keyName, kind, publicKey))).toBe(verifierKeys[name])
  })

  it('verifies the checkpoints, with both algorithms and the witness', () => {
    const older = verifyCheckpoint(crypto, checkpoints.older, keys)
    const newer = verifyCheckpoint(crypto, checkpoints.newer, keys)
    expect([older, newer].map(({ size, root }) => [size, toBase64url(root)])).toEqual([
      [5, roots[5]],
      [7, roots[7]],
    ])
    expect([older.signedAt, newer.signedAt, newer.cosignatures[0]?.at]).toEqual(
      [timestamps.older, timestamps.newer, timestamps.witness].map((seconds) => seconds * 1000),
    )
    expect(toBase64url(cosignedMessage(origin, timestamps.newer, newer))).toBe(vectors.cosigned.newer)
    expect(toBase64url(cosignedMessage(witness.name, timestamps.witness, newer))).toBe(vectors.cosigned.witness)
    verifyConsistency(
      crypto,
      older,
      newer,
      vectors.consistency.map((hash) => fromBase64url(hash, 32)),
    )
  })

  it('takes what a retired key signed before its end, and nothing that it signed later', () => {
    const retired = { log: [parseVerifierKey(crypto, verifierKeys.retired), mlDsa87] }
    expect(verifyCheckpoint(crypto, checkpoints.older, retired).size).toBe(5)
    expect(refusalOf(() => verifyCheckpoint(crypto, checkpoints.newer, retired)).code).toBe('log_invalid')
  })

  it('verifies the proof of an entry', () => {
    const { index, checkpoint } = verifyTlogProof(crypto, vectors.proof, toUtf8(vectors.leavesJcs[5] ?? ''), keys)
    expect([index, checkpoint.size]).toEqual([5, 7])
  })

  it.each([
    ['whole', { from: 0, to: 7, events: 6, hashesOnly: 1 }],
    ['part', { from: 3, to: 6, events: 3, hashesOnly: 0 }],
  ] as const)('verifies the %s export', (name, found) => {
    expect(vectors.leavesJcs.map((leaf) => toBase64url(leafHash(crypto, toUtf8(leaf))))).toEqual(vectors.leafHashes)
    const verifier = createExportVerifier(crypto, keys)
    for (const line of vectors.exports[name].trimEnd().split('\n')) verifier.push(line)
    expect(verifier.finish()).toMatchObject({ ...found, origin, problem: undefined })
  })

  it('verifies the tree and the checkpoint of exchange-v1.json', () => {
    const { audit, seeds: exchangeSeeds } = ownVectors
    const { publicKey } = crypto.importSigningKey('ML-DSA-44', fromBase64url(exchangeSeeds.auditKey, 32))
    const log = [verifierKey(crypto, audit.origin, 'cosignature', publicKey)]
    const head = verifyCheckpoint(crypto, audit.checkpoint, { log })
    expect([head.size, toBase64url(head.root), head.signedAt]).toEqual([5, audit.root, audit.timestampSeconds * 1000])
    const hashes = audit.leavesJcs.map((leaf) => leafHash(crypto, toUtf8(leaf)))
    expect(hashes.map(toBase64url)).toEqual(audit.leafHashes)
    const hash = hashes[2] ?? new Uint8Array(0)
    verifyInclusion(
      crypto,
      { hash, index: 2 },
      head,
      audit.inclusionPathOf2.map((text) => fromBase64url(text, 32)),
    )
    expect(fromBase64Padded(audit.checkpoint.split('\n')[2] ?? '', 32)).toEqual(head.root)
  })
})
