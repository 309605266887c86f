import { concatenate } from '../../protocol/encoding.ts'
import { formatExportEnd, formatExportEntry, formatExportHeader } from '../../protocol/log/audit-export.ts'
import {
  type Checkpoint,
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  mlDsa87Line,
} from '../../protocol/log/checkpoint.ts'
import { createFrontier } from '../../protocol/log/frontier.ts'
import { leafHash } from '../../protocol/log/merkle.ts'
import { consistencyRanges, hashesOf, hashRange, inclusionRanges } from '../../protocol/log/proofs.ts'
import { formatNote } from '../../protocol/log/signed-note.ts'
import { type GetTile, hashPerfect, parseTilePath, TILE_WIDTH } from '../../protocol/log/tiles.ts'
import { formatTlogProof } from '../../protocol/log/tlog-proof.ts'
import { formatVerifierKey, type NoteSignatureKind, verifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { seedOf } from './protocol-exchange.ts'
import { toUtf8 } from './protocol-providers.ts'

export const ORIGIN = 'test.example/audit'
/** Seconds since the Unix epoch. */
export const SIGNED_AT = 1_795_318_200

/** A key that signs checkpoints under `name`: `line` is its signature line. */
export function makeSigner(crypto: Primitives, kind: NoteSignatureKind, name = ORIGIN, label = 'audit') {
  const alg = kind === 'cosignature' ? 'ML-DSA-44' : 'ML-DSA-87'
  const key = crypto.importSigningKey(alg, seedOf(crypto, `${label} ${kind}`, 32))
  const by = verifierKey(crypto, name, kind, key.publicKey)
  return {
    by,
    vkey: formatVerifierKey(by),
    line(checkpoint: Checkpoint, at = SIGNED_AT): string {
      if (kind === 'mlDsa87') {
        return mlDsa87Line(by, key.sign(toUtf8(checkpointBody(checkpoint)), signatureContexts.checkpoint))
      }
      return cosignatureLine(by, at, key.sign(cosignedMessage(name, at, checkpoint), signatureContexts.empty))
    },
  }
}

export type Signer = ReturnType<typeof makeSigner>

export function signCheckpoint(checkpoint: Checkpoint, signers: readonly Signer[], at = SIGNED_AT): string {
  return formatNote(
    checkpointBody(checkpoint),
    signers.map((signer) => signer.line(checkpoint, at)),
  )
}

export type MemoryLog = ReturnType<typeof makeMemoryLog>

/** A log of these entries, of which every tree up to its size can be asked for. Signed by `signers`; their names are its origin. */
export function makeMemoryLog(crypto: Primitives, entries: readonly string[], signers: readonly Signer[]) {
  const origin = signers[0]?.by.name ?? ORIGIN
  const leaves = entries.map((entry) => leafHash(crypto, toUtf8(entry)))
  const getTile = tilesOver(crypto, leaves)
  const checkpoints = new Map<number, string>()

  function root(size: number): Uint8Array {
    return hashRange(crypto, getTile, { start: 0, end: size })
  }

  function checkpoint(size = entries.length): string {
    const signed = checkpoints.get(size) ?? signCheckpoint({ origin, size, root: root(size) }, signers)
    checkpoints.set(size, signed)
    return signed
  }

  const proof = (index: number, size: number) =>
    inclusionRanges(index, size).map((range) => hashRange(crypto, getTile, range))
  const consistency = (from: number, to: number) =>
    consistencyRanges(from, to).map((range) => hashRange(crypto, getTile, range))

  /** `isHidden`: of which entries there is the hash alone. */
  function exportLines(part: { from: number; to: number; size: number; isHidden?: (index: number) => boolean }) {
    const { from, to, size, isHidden = () => false } = part
    const frontier = hashesOf(crypto, getTile, { start: 0, end: from })
    const lines = leaves
      .slice(from, to)
      .map((leaf, i) => formatExportEntry(from + i, isHidden(from + i) ? undefined : entries[from + i], leaf))
    const end = formatExportEnd(checkpoint(size), to === size ? undefined : consistency(to, size))
    return [formatExportHeader({ origin, from, to, frontier }), ...lines, end]
  }

  return {
    origin,
    entries,
    leaves,
    root,
    checkpoint,
    proof,
    consistency,
    exportLines,
    /** Of `entry` at `index`, in the tree of `size`: the text of a tlog-proof. */
    proofText: (index: number, size = entries.length) =>
      formatTlogProof({ index, hashes: proof(index, size), checkpoint: checkpoint(size) }),
    /** The bytes of a tile by its path, as in `0/000.p/12`. */
    tile(path: string): Uint8Array {
      const place = parseTilePath(path)
      if (place === undefined) throw new Error(`${path} is no tile`)
      return concatenate(getTile(place).slice(0, place.width))
    },
  }
}

/** Every level of the tree, from one pass over the leaves. */
function tilesOver(crypto: Primitives, leaves: readonly Uint8Array[]): GetTile {
  const levels = [leaves]
  for (let level = leaves; level.length >= TILE_WIDTH; ) {
    const above: Uint8Array[] = []
    for (let at = 0; at + TILE_WIDTH <= level.length; at += TILE_WIDTH) {
      above.push(hashPerfect(crypto, level.slice(at, at + TILE_WIDTH)))
    }
    levels.push(above)
    level = above
  }
  return ({ level, tile }) => levels[level]?.slice(tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH) ?? []
}

/** Canonical JSON of an event of no importance: the entries of a log that a test needs. */
export function makeEntry(index: number): string {
  const salt = Buffer.alloc(16, index % 251).toString('base64url')
  return `{"actor":{"id":"00000000-0000-0000-0000-000000000000","type":"service"},"at":${1_795_318_200_000 + index},"data":{"n":${index}},"salt":"${salt}","type":"session.established","v":1}`
}

/** The roots of the trees of 0 to all of these leaves, as the log itself grows. */
export function rootsOf(crypto: Primitives, leaves: readonly Uint8Array[]): Uint8Array[] {
  const frontier = createFrontier(crypto)
  const roots = [frontier.root()]
  for (const leaf of leaves) {
    frontier.append(leaf)
    roots.push(frontier.root())
  }
  return roots
}
