import {
  type Checkpoint,
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  mlDsa87Line,
} from '../../protocol/log/checkpoint.ts'
import { createFrontier } from '../../protocol/log/frontier.ts'
import { leafHash } from '../../protocol/log/merkle.ts'
import { consistencyRanges } from '../../protocol/log/proofs.ts'
import { formatNote } from '../../protocol/log/signed-note.ts'
import { formatVerifierKey, type VerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives, SigningKey } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'

/** A key of ML-DSA-44 with the name that it signs under. */
export interface TestSigner {
  key: SigningKey
  verifier: VerifierKey
  vkey: string
}

export function makeSigner(crypto: Primitives, name: string): TestSigner {
  const key = crypto.importSigningKey('ML-DSA-44', crypto.randomBytes(32))
  const verifier = verifierKey(crypto, name, 'cosignature', key.publicKey)
  return { key, verifier, vkey: formatVerifierKey(verifier) }
}

export function cosign({ key, verifier }: TestSigner, checkpoint: Checkpoint, seconds: number): string {
  const message = cosignedMessage(verifier.name, seconds, checkpoint)
  return cosignatureLine(verifier, seconds, key.sign(message, signatureContexts.empty))
}

/** The second line of a log of profile `cnsa-2.0`. */
export function signWith87(crypto: Primitives, checkpoint: Checkpoint): { line: string; vkey: string } {
  const key = crypto.importSigningKey('ML-DSA-87', crypto.randomBytes(32))
  const verifier = verifierKey(crypto, checkpoint.origin, 'mlDsa87', key.publicKey)
  const body = new TextEncoder().encode(checkpointBody(checkpoint))
  return {
    line: mlDsa87Line(verifier, key.sign(body, signatureContexts.checkpoint)),
    vkey: formatVerifierKey(verifier),
  }
}

/** A log as big as anybody asks: leaf n is `n`, from `forkedAt` on `n` with the name of the fork. */
export interface TestLog {
  origin: string
  signer: TestSigner
  head(size: number): Checkpoint
  /** As the log signed it, with other lines behind its own. */
  checkpoint(size: number, others?: readonly string[]): string
  prove(from: number, to: number): Uint8Array[]
}

export function makeLog(
  crypto: Primitives,
  origin: string,
  options: { signer?: TestSigner; fork?: { name: string; at: number } } = {},
): TestLog {
  const { signer = makeSigner(crypto, origin), fork = { name: '', at: 0 } } = options
  const leafOf = (n: number) => new TextEncoder().encode(n < fork.at ? String(n) : `${n}${fork.name}`)
  function rootOf(start: number, end: number): Uint8Array {
    const frontier = createFrontier(crypto)
    for (let n = start; n < end; n++) frontier.append(leafHash(crypto, leafOf(n)))
    return frontier.root()
  }
  const head = (size: number) => ({ origin, size, root: rootOf(0, size) })
  const lines = new Map<number, string>()
  /** Signed once, as a log keeps its checkpoints. */
  function lineOf(size: number): string {
    const line = lines.get(size) ?? cosign(signer, head(size), 1_700_000_000 + size)
    lines.set(size, line)
    return line
  }
  return {
    origin,
    signer,
    head,
    checkpoint: (size, others = []) => formatNote(checkpointBody(head(size)), [lineOf(size), ...others]),
    prove: (from, to) => consistencyRanges(from, to).map(({ start, end }) => rootOf(start, end)),
  }
}
