import { ProtocolError } from '../../protocol/errors.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { type TreeHead, verifyConsistency } from '../../protocol/log/merkle.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { QflareAuditor } from '../auditor.ts'
import { QflareError } from '../errors.ts'
import { wait as realWait, type Wait } from '../wait.ts'
import { formatTime } from './print.ts'
import { countedSignatures, type VerifyPolicy } from './verify-witnesses.ts'

/** A busy log is a second ahead of its witnesses. */
const WITNESSED_TRIES = 10
/** An answer may come from a copy of the database that is behind. */
const NEWEST_TRIES = 3
const PAUSE_MS = 1000

export interface FetchedCheckpoint extends VerifiedCheckpoint {
  /** As it came. */
  text: string
}

export interface VerifyNewestOptions {
  wait?: Wait
  /** Whether this checkpoint is of the first of the entries that were verified; undefined: not known. */
  isBeginning?: ((newest: FetchedCheckpoint) => Promise<boolean | undefined>) | undefined
}

/**
 * The newest checkpoint of a log, which has to continue the tree that was verified; and where witnesses are asked for, the one
 * of the same log on which to look for their signatures, after some seconds of waiting for enough. Throws `log_invalid`.
 */
export async function verifyNewest(
  crypto: Primitives,
  auditor: QflareAuditor,
  policy: VerifyPolicy,
  held: VerifiedCheckpoint,
  { wait = realWait, isBeginning }: VerifyNewestOptions = {},
): Promise<{ newest: VerifiedCheckpoint; witnessed: VerifiedCheckpoint | undefined }> {
  const newest = await fetchNewest(crypto, auditor, policy, held, wait)
  if (newest.size < held.size) await refuseShorter(newest, held, isBeginning)
  await requireOneHistory(crypto, auditor, held, newest)
  if (newest.signedAt < held.signedAt) throw takenBack(newest, held, 'its newest checkpoint is the older one.')
  if (policy.witnesses.length === 0) return { newest, witnessed: undefined }
  return { newest, witnessed: await findWitnessed({ crypto, auditor, policy, wait }, held, newest) }
}

async function fetchNewest(
  crypto: Primitives,
  auditor: QflareAuditor,
  policy: VerifyPolicy,
  held: VerifiedCheckpoint,
  wait: Wait,
): Promise<FetchedCheckpoint> {
  for (let tries = 1; ; tries++) {
    const text = await auditor.getCheckpoint()
    const newest = verifyCheckpoint(crypto, text, policy)
    requireOrigin(newest, held)
    const isBehind = newest.size < held.size || newest.signedAt < held.signedAt
    if (!isBehind || tries === NEWEST_TRIES) return { ...newest, text }
    await wait(PAUSE_MS)
  }
}

async function refuseShorter(
  newest: FetchedCheckpoint,
  held: VerifiedCheckpoint,
  isBeginning: VerifyNewestOptions['isBeginning'],
): Promise<never> {
  if (newest.size === 0) throw takenBack(newest, held, 'it was taken back, or begun anew.')
  const isSame = await isBeginning?.(newest)
  const first = `the ${newest.size} that it has are`
  if (isSame === undefined) throw takenBack(newest, held, 'it was taken back.')
  if (isSame) throw takenBack(newest, held, `it was taken back; ${first} the first of these, so far the same history.`)
  throw takenBack(newest, held, `it was taken back, and ${first} not the first of these: a fork.`)
}

function takenBack(newest: VerifiedCheckpoint, held: VerifiedCheckpoint, what: string): ProtocolError {
  const now = Date.now()
  const [has, had] = [newest, held].map(({ size, signedAt }) => ({ size, at: formatTime(signedAt, now) }))
  const sizes = `The log has ${has?.size} entries now, signed ${has?.at}, and ${had?.size} of it were signed ${had?.at}`
  return new ProtocolError('log_invalid', `${sizes}: ${what}`)
}

interface Asked {
  crypto: Primitives
  auditor: QflareAuditor
  policy: VerifyPolicy
  wait: Wait
}

/** Of all of what was verified, where enough signed such a one: of what is behind theirs, witnesses say nothing. */
async function findWitnessed(asked: Asked, held: VerifiedCheckpoint, newest: VerifiedCheckpoint) {
  const { crypto, auditor, policy, wait } = asked
  const now = Date.now()
  for (let tries = 1; ; tries++) {
    const text = await fetchWitnessed(auditor)
    const witnessed = text === undefined ? undefined : verifyCheckpoint(crypto, text, policy)
    if (witnessed !== undefined) {
      requireOrigin(witnessed, held)
      await requireOneHistory(crypto, auditor, witnessed, newest)
    }
    const known = [witnessed, newest, held].filter((one) => one !== undefined && one.size >= held.size)
    const enough = known.find(
      (one) => one !== undefined && countedSignatures(one, now).length >= policy.witnessesNeeded,
    )
    if (enough !== undefined) return enough
    if (witnessed === undefined) return newest
    if (tries === WITNESSED_TRIES) return witnessed
    await wait(PAUSE_MS)
  }
}

/** Undefined where no witness has signed a checkpoint of this log yet. */
async function fetchWitnessed(auditor: QflareAuditor): Promise<string | undefined> {
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

/** Whichever of the two is older. */
async function requireOneHistory(crypto: Primitives, auditor: QflareAuditor, a: TreeHead, b: TreeHead): Promise<void> {
  const [older, newer] = a.size <= b.size ? [a, b] : [b, a]
  const isProofNeeded = older.size > 0 && older.size < newer.size
  const hashes = isProofNeeded ? await fetchConsistency(auditor, older.size, newer.size) : []
  verifyConsistency(crypto, older, newer, hashes)
}

/** A server that has both trees, as it signed, can prove the one from the other: that it refuses to is a finding. */
async function fetchConsistency(auditor: QflareAuditor, from: number, to: number): Promise<Uint8Array[]> {
  try {
    return (await auditor.getConsistency({ from, to })).hashes
  } catch (cause) {
    const isRefused = cause instanceof QflareError && (cause.status === 400 || cause.status === 404)
    if (!isRefused) throw cause
    const reason = `The log signed trees of ${from} and ${to} entries, and refuses the proof that one continues the other`
    throw new ProtocolError('log_invalid', `${reason} (${cause.code}).`, { cause })
  }
}
