import { ProtocolError } from '../../protocol/errors.ts'
import { type CheckpointKeys, type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { type TreeHead, verifyConsistency } from '../../protocol/log/merkle.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { QflareAuditor } from '../auditor.ts'
import { QflareError } from '../errors.ts'
import type { Witnesses } from './verify-report.ts'

/** Whose signatures have to be there. */
export interface VerifyPolicy extends CheckpointKeys {
  witnesses: NonNullable<CheckpointKeys['witnesses']>
  /** Of how many witnesses, each counted once by its name. */
  witnessesNeeded: number
}

/**
 * The newest checkpoint of a log, which has to continue the tree that was verified; and where witnesses are asked for, the newest
 * that they signed, which has to be of the same log. Throws `log_invalid`.
 */
export async function verifyNewest(
  crypto: Primitives,
  auditor: QflareAuditor,
  policy: VerifyPolicy,
  held: VerifiedCheckpoint,
): Promise<{ newest: VerifiedCheckpoint; witnessed: VerifiedCheckpoint | undefined }> {
  const newest = verifyCheckpoint(crypto, await auditor.getCheckpoint(), policy)
  requireOrigin(newest, held)
  await requireOneHistory(crypto, auditor, held, newest)
  if (policy.witnesses.length === 0) return { newest, witnessed: undefined }
  const text = await findWitnessed(auditor)
  if (text === undefined) return { newest, witnessed: undefined }
  const witnessed = verifyCheckpoint(crypto, text, policy)
  requireOrigin(witnessed, held)
  await requireOneHistory(crypto, auditor, witnessed, newest)
  return { newest, witnessed }
}

/** Throws `log_invalid` when too few of the witnesses signed. */
export function requireWitnesses({ needed, checkpoint }: Witnesses): void {
  const names = new Set(checkpoint?.cosignatures.map(({ by }) => by.name))
  if (names.size >= needed) return
  const signed = names.size === 0 ? 'none' : [...names].join(', ')
  throw new ProtocolError('log_invalid', `${needed} of the witnesses should have signed, and did: ${signed}.`)
}

/** Undefined where no witness has signed a checkpoint of this log yet. */
async function findWitnessed(auditor: QflareAuditor): Promise<string | undefined> {
  try {
    return await auditor.getCheckpoint({ witnessed: true })
  } catch (error) {
    if (error instanceof QflareError && error.code === 'unavailable') return undefined
    throw error
  }
}

function requireOrigin(newest: VerifiedCheckpoint, held: VerifiedCheckpoint): void {
  if (newest.origin === held.origin) return
  throw new ProtocolError('log_invalid', `The server has the log ${newest.origin}; this is ${held.origin}.`)
}

/** Whichever of the two is older: an answer may come from a copy of the database that is behind. */
async function requireOneHistory(crypto: Primitives, auditor: QflareAuditor, a: TreeHead, b: TreeHead): Promise<void> {
  const [older, newer] = a.size <= b.size ? [a, b] : [b, a]
  const isProofNeeded = older.size > 0 && older.size < newer.size
  const hashes = isProofNeeded ? (await auditor.getConsistency({ from: older.size, to: newer.size })).hashes : []
  verifyConsistency(crypto, older, newer, hashes)
}
