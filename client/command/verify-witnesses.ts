import { toBase64Padded } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { CheckpointKeys, CheckpointSignature, VerifiedCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import { usageError } from './exit-codes.ts'

const DAY_MS = 86_400_000
const STALE_MS = 600_000

/** Whose signatures have to be there. */
export interface VerifyPolicy extends CheckpointKeys {
  witnesses: NonNullable<CheckpointKeys['witnesses']>
  /** Of how many witnesses, each counted once by its name. */
  witnessesNeeded: number
}

/** Exit code 2 for what is no independent witness: the log's signature of itself would count, or one witness as two. */
export function requireIndependent(witnesses: readonly VerifierKey[], log: readonly VerifierKey[]): void {
  const nameOf = new Map<string, string>()
  const logKeys = new Set(log.map(publicKeyOf))
  for (const witness of witnesses) {
    const { name, kind } = witness
    const text = publicKeyOf(witness)
    if (log.some((key) => key.name === name) || logKeys.has(text)) {
      throw usageError(`--witness: ${name} is the log itself, and no witness of it.`)
    }
    if (kind !== 'cosignature')
      throw usageError(`--witness: the key of ${name} is not of the kind that witnesses sign with.`)
    const other = nameOf.get(text) ?? name
    if (other !== name) throw usageError(`--witness: ${other} and ${name} have one key, and are one witness.`)
    nameOf.set(text, name)
  }
}

function publicKeyOf({ key }: VerifierKey): string {
  return toBase64Padded(key.publicKey)
}

/** A time that is not there yet, by more than clocks differ, says nothing of when the witness signed. */
export function countedSignatures({ cosignatures }: VerifiedCheckpoint, now: number): CheckpointSignature[] {
  return cosignatures.filter(({ at = 0 }) => at <= now + DAY_MS)
}

/** Throws `log_invalid` when too few of the witnesses signed, or less than the `size` entries that were verified. */
export function requireWitnesses(checkpoint: VerifiedCheckpoint, policy: VerifyPolicy, size: number): void {
  if (policy.witnessesNeeded > 0 && checkpoint.size < size) {
    throw new ProtocolError('log_invalid', `The witnesses signed ${checkpoint.size} of ${size} entries.`)
  }
  const now = Date.now()
  const names = countedSignatures(checkpoint, now).map(({ by }) => by.name)
  if (names.length >= policy.witnessesNeeded) return
  const signed = names.length === 0 ? 'none' : names.join(', ')
  const isAnyAhead = names.length < checkpoint.cosignatures.length
  const ahead = isAnyAhead ? ' A signature from the future, by the clock of this computer, does not count.' : ''
  const reason = `${policy.witnessesNeeded} of the witnesses should have signed, and did: ${signed}.${ahead}`
  throw new ProtocolError('log_invalid', reason)
}

/** Those who have not signed for more than ten minutes before the log last did, by name. */
export function staleWitnesses(checkpoint: VerifiedCheckpoint, newest: VerifiedCheckpoint, now: number): string[] {
  return countedSignatures(checkpoint, now)
    .filter(({ at = 0 }) => at < newest.signedAt - STALE_MS)
    .map(({ by }) => by.name)
}
