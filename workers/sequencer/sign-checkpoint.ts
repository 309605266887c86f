import {
  type Checkpoint,
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  mlDsa87Line,
} from '../../protocol/log/checkpoint.ts'
import { formatNote } from '../../protocol/log/signed-note.ts'
import { type VerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { Signer } from '../../runtime/custody/signer.ts'

/** The keys of the log: ML-DSA-44 for the line of C2SP, and ML-DSA-87 for a second one in profile cnsa-2.0. */
export interface AuditSigners {
  auditSigner: Signer
  auditSigner87: Signer | undefined
}

export interface CheckpointSigner {
  /** What a reader verifies its checkpoints with. */
  keys: VerifierKey[]
  /** The signed note. Only ever of a tree that is committed: a log signs no two trees of one size. */
  sign(checkpoint: Checkpoint, timestampSeconds: number): Promise<string>
}

/** `origin`: the name of the log, which its keys sign under. */
export function createCheckpointSigner(
  crypto: Primitives,
  origin: string,
  { auditSigner, auditSigner87 }: AuditSigners,
): CheckpointSigner {
  const cosigner = verifierKey(crypto, origin, 'cosignature', auditSigner.publicKey)
  const second = auditSigner87 && {
    signer: auditSigner87,
    key: verifierKey(crypto, origin, 'mlDsa87', auditSigner87.publicKey),
  }
  return {
    keys: [cosigner, ...(second === undefined ? [] : [second.key])],
    async sign(checkpoint, timestampSeconds) {
      const body = checkpointBody(checkpoint)
      const message = cosignedMessage(origin, timestampSeconds, checkpoint)
      const signature = await auditSigner.sign(message, signatureContexts.empty)
      const lines = [cosignatureLine(cosigner, timestampSeconds, signature)]
      if (second !== undefined) {
        const signed = await second.signer.sign(new TextEncoder().encode(body), signatureContexts.checkpoint)
        lines.push(mlDsa87Line(second.key, signed))
      }
      return formatNote(body, lines)
    },
  }
}
