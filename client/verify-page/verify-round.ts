import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { CheckpointKeys, VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import {
  parseRoundCertificateFile,
  type RoundCertificate,
  type RoundCertificateFile,
} from '../../protocol/rounds/round-certificate.ts'
import { checkRoundCertificate, type RoundCheck } from '../../protocol/rounds/verify-round-certificate.ts'

/** A certificate that holds in everything. */
export interface VerifiedRoundFile {
  certificate: RoundCertificate
  checks: readonly RoundCheck[]
  index: number
  event: { [key: string]: Json }
  checkpoint: VerifiedCheckpoint
}

/**
 * The certificate of a round, under keys of the log and, where it is known, the root key of the service (docs/protocol.md §5). The
 * other half is why not.
 */
export function verifyRound(
  crypto: Primitives,
  text: string,
  { keys, rootPin }: { keys: CheckpointKeys; rootPin: string | undefined },
): VerifiedRoundFile | { refused: string } {
  try {
    return verifyParsed(crypto, parseRoundCertificateFile(text), keys, rootPin)
  } catch (error) {
    if (error instanceof ProtocolError) return { refused: error.message }
    throw error
  }
}

function verifyParsed(
  crypto: Primitives,
  file: RoundCertificateFile,
  keys: CheckpointKeys,
  rootPin: string | undefined,
): VerifiedRoundFile | { refused: string } {
  const { certificate, event, proof } = file
  const { checks } = checkRoundCertificate(crypto, file, { rootPin, auditKeys: keys.log, requireProof: true })
  const refusal = checks.find((check) => check.refusal !== undefined)?.refusal
  if (refusal !== undefined) return { refused: refusal.message }
  // Once more, for what the witnesses signed beside the log.
  const entry = new TextEncoder().encode(canonicalJson(event))
  return { certificate, checks, event, ...verifyTlogProof(crypto, proof ?? '', entry, keys) }
}
