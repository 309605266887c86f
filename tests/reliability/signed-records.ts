import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { createLocalSigner, type Signer } from '../../runtime/custody/signer.ts'
import type { AuditSigners } from '../../workers/sequencer/sign-checkpoint.ts'

const HEAD_BYTES = 8 + 32

/**
 * Signers of a log that write down what they are asked to sign before they sign it: whatever becomes of the checkpoint, nobody
 * can have a signature of a tree that is not in the file. A killed process loses nothing of it. `seed`: 32 bytes.
 */
export function recordingSigners(
  crypto: Primitives,
  seed: Uint8Array,
  file: string,
  options: { has87?: boolean } = {},
): AuditSigners {
  const recorded = (signer: Signer): Signer => ({
    ...signer,
    sign(message, context) {
      // A cosigned message ends with the size and the root; the other line is of the same note.
      if (signer.alg === 'ML-DSA-44')
        appendFileSync(file, `${Buffer.from(message.subarray(-HEAD_BYTES)).toString('hex')}\n`)
      return signer.sign(message, context)
    },
  })
  return {
    auditSigner: recorded(createLocalSigner(crypto, 'ML-DSA-44', seed)),
    auditSigner87: options.has87 ? recorded(createLocalSigner(crypto, 'ML-DSA-87', seed)) : undefined,
  }
}

/** Every tree that was ever signed, oldest first. */
export function readSigned(file: string): TreeHead[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => {
    const bytes = Buffer.from(line, 'hex')
    return { size: Number(bytes.readBigUInt64BE(0)), root: Uint8Array.from(bytes.subarray(8)) }
  })
}
