import { toVerifierKeys } from '../../protocol/log/audit-keys.ts'
import {
  type Checkpoint,
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  mlDsa87Line,
} from '../../protocol/log/checkpoint.ts'
import { formatNote } from '../../protocol/log/signed-note.ts'
import { type NoteSignatureKind, type VerifierKey, verifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { currentOf, type Signer } from '../../runtime/custody/signer.ts'

/**
 * The keys of the log: ML-DSA-44 for the line of C2SP, and ML-DSA-87 for a second one in profile cnsa-2.0. A signer may become that of
 * another key at any time.
 */
export interface AuditSigners {
  auditSigner: Signer
  auditSigner87: Signer | undefined
  /** Of the trust bundles: those that signed before these are among them. */
  auditKeys?: readonly TrustKey[]
  /** Finds out which key signs now. */
  refresh?: () => Promise<void>
}

export interface SignedCheckpoint {
  note: string
  /** Ids of the keys that signed it. */
  kids: string[]
}

export interface CheckpointSigner {
  /** What a reader verifies the checkpoints of this log with, those that retired keys signed too. */
  readonly keys: VerifierKey[]
  /** Only ever of a tree that is committed: a log signs no two trees of one size. */
  sign(checkpoint: Checkpoint, timestampSeconds: number): Promise<SignedCheckpoint>
  /** Whether others sign now than these did. */
  isReplaced(kids: readonly string[]): Promise<boolean>
}

/** `origin`: the name of the log, which its keys sign under. */
export function createCheckpointSigner(crypto: Primitives, origin: string, signers: AuditSigners): CheckpointSigner {
  const verifiers = new Map<string, VerifierKey>()
  function verifierOf({ keyId, publicKey }: Signer, kind: NoteSignatureKind): VerifierKey {
    const known = verifiers.get(keyId)
    if (known !== undefined) return known
    const made = verifierKey(crypto, origin, kind, publicKey)
    verifiers.set(keyId, made)
    return made
  }
  const now = () => ({
    cosigner: currentOf(signers.auditSigner),
    second: signers.auditSigner87 && currentOf(signers.auditSigner87),
  })
  const kidsOf = ({ cosigner, second }: ReturnType<typeof now>) =>
    [cosigner, second].flatMap((signer) => signer?.keyId ?? [])

  return {
    get keys() {
      const { cosigner, second } = now()
      const signing = [verifierOf(cosigner, 'cosignature'), ...(second ? [verifierOf(second, 'mlDsa87')] : [])]
      const former = (signers.auditKeys ?? []).filter(({ kid }) => !kidsOf({ cosigner, second }).includes(kid))
      return [...toVerifierKeys(crypto, origin, former), ...signing]
    },
    async sign(checkpoint, timestampSeconds) {
      const { cosigner, second } = now()
      const body = checkpointBody(checkpoint)
      const message = cosignedMessage(origin, timestampSeconds, checkpoint)
      const signature = await cosigner.sign(message, signatureContexts.empty)
      const lines = [cosignatureLine(verifierOf(cosigner, 'cosignature'), timestampSeconds, signature)]
      if (second !== undefined) {
        const signed = await second.sign(new TextEncoder().encode(body), signatureContexts.checkpoint)
        lines.push(mlDsa87Line(verifierOf(second, 'mlDsa87'), signed))
      }
      return { note: formatNote(body, lines), kids: kidsOf({ cosigner, second }) }
    },
    async isReplaced(kids) {
      await signers.refresh?.()
      return kidsOf(now()).some((kid) => !kids.includes(kid))
    },
  }
}
