import type { Database } from '../../database/open.ts'
import type { StoredCheckpoint } from '../../database/repositories/audit-reader.ts'
import { type LogFacts, readLogFacts } from '../../database/repositories/log-facts.ts'
import { toVerifierKeys } from '../../protocol/log/audit-keys.ts'
import { logOrigin, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import type { Config } from '../../runtime/config.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('audit log')

/** The sequencer takes events in within a quarter of a second. */
const MAX_WAIT_MS = 30_000
/** An idle log signs a checkpoint every minute. */
const MAX_CHECKPOINT_AGE_MS = 180_000
/** A check runs every night and tells what is still there. */
const NEW_MS = 48 * 3_600_000
const SEQUENCER_ADVICE = 'Start a process with the role sequencer, or see the log of the one that runs.'

export interface LogParts {
  config: Pick<Config, 'audit' | 'roles' | 'trustDomain'>
  /** As qflare_sequencer. */
  database: Database
  crypto: Primitives
  /** By which checkpoints are verified; undefined where the root key did not open them. */
  auditKeys: readonly TrustKey[] | undefined
  now: number
  /** A service works on the database. */
  isInUse: boolean
}

/** How far the log is, and whether the database is the one that was signed last. That every entry is: `qflare audit check`. */
export async function examineLog(parts: LogParts): Promise<Finding[]> {
  const facts = await parts.database.withoutOrganization(readLogFacts)
  const { published } = facts
  if (published === undefined) {
    return [unseen('it has no checkpoint yet', 'The first start signs one, where a process has the role sequencer.')]
  }
  return [
    outboxFinding(facts, parts),
    ageFinding(published, parts),
    await fileFinding(facts, published, parts),
    ...differenceFindings(facts, parts),
    ...witnessFindings(facts, published, parts),
  ]
}

function outboxFinding({ waiting, waitingSince }: LogFacts, { now, isInUse }: LogParts): Finding {
  const waitedMs = waitingSince === undefined ? 0 : now - waitingSince
  if (waitedMs <= MAX_WAIT_MS) return ok(`${waiting} events wait for it`)
  const text = `${waiting} events wait for it, the first for ${secondsText(waitedMs)}`
  return isInUse ? problem(text, SEQUENCER_ADVICE) : unseen(text, 'The next start takes them in; none is lost.')
}

function ageFinding({ size, signedAt }: StoredCheckpoint, { now, isInUse }: LogParts): Finding {
  const ageMs = now - signedAt
  const text = `its newest checkpoint has ${size} entries and was signed ${secondsText(ageMs)} ago`
  return isInUse && ageMs > MAX_CHECKPOINT_AGE_MS ? problem(text, SEQUENCER_ADVICE) : ok(text)
}

async function fileFinding(facts: LogFacts, published: StoredCheckpoint, parts: LogParts): Promise<Finding> {
  const { config, crypto, auditKeys } = parts
  const path = config.audit.checkpointFile
  const isOurs = config.roles.includes('sequencer')
  const text = await readCheckpointFile(path).catch((error: unknown) => error)
  if (text instanceof Error) {
    return unseen(`${path} cannot be read (${errorText(text)})`, 'Run this as the user of the service, or as root.')
  }
  if (typeof text !== 'string') {
    const missing = `there is no checkpoint file ${path}`
    if (!isOurs) return unseen(missing, 'It is where the sequencer runs: run this there too.')
    const advice = 'Bring it back: without it the next start is refused (docs/operations.md, Audit log).'
    return facts.size === 0 ? unseen(missing, 'The first start makes it.') : problem(missing, advice)
  }
  if (auditKeys === undefined) return unseen(`${path} was not verified`, 'That needs the root key of this database.')
  const keys = toVerifierKeys(crypto, logOrigin(config.trustDomain), auditKeys)
  let signed: { size: number; root: Uint8Array; signedAt: number }
  try {
    signed = verifyCheckpoint(crypto, text, { log: keys })
  } catch (error) {
    const advice = 'Find out who wrote it; bring the right one back. The next start is refused with this one.'
    return problem(`${path} is no checkpoint of this log (${errorText(error)})`, advice)
  }
  const isOther = signed.size === published.size && !crypto.equal(signed.root, published.root)
  if (signed.size > facts.size || isOther) {
    const what = isOther ? 'has another history than' : `has ${facts.size} entries, fewer than the ${signed.size} of`
    const advice = 'Bring the newer database back; docs/operations.md, Audit log, says what to do when it is lost.'
    return problem(`the database ${what} ${path}: it was taken back`, advice)
  }
  const behindMs = published.signedAt - signed.signedAt
  if (parts.isInUse && behindMs > MAX_CHECKPOINT_AGE_MS) {
    const advice = 'All sequencers write one file that they share (QFLARE_CHECKPOINT_FILE): is this the one?'
    return warning(`${path} is ${secondsText(behindMs)} behind the database`, advice)
  }
  return ok(`${path} has ${signed.size} entries, and the database continues them`)
}

function differenceFindings({ differenceAt }: LogFacts, { now }: LogParts): Finding[] {
  if (differenceAt === undefined) return []
  const text = `a check of ${new Date(differenceAt).toISOString()} found that it is not what was signed`
  const advice = 'qflare audit check names every difference. Keep the database as it is, and find out who wrote to it.'
  return [(now - differenceAt < NEW_MS ? problem : warning)(text, advice)]
}

function witnessFindings({ cosigned }: LogFacts, published: StoredCheckpoint, { config, now }: LogParts): Finding[] {
  return config.audit.witnesses.map(({ vkey, url }) => {
    const name = vkey.split('+')[0] ?? ''
    const last = cosigned.get(name)
    const advice = `See whether ${url} answers, and knows the key of this log (docs/witness.md).`
    if (last === undefined) return warning(`the witness ${name} has cosigned nothing yet`, advice)
    const text = `the witness ${name} cosigned ${last.size} of ${published.size} entries, ${secondsText(now - last.receivedAt)} ago`
    return last.size < published.size && now - last.receivedAt > MAX_CHECKPOINT_AGE_MS
      ? warning(text, advice)
      : ok(text)
  })
}

function secondsText(ms: number): string {
  return `${Math.max(0, Math.round(ms / 1_000))} s`
}
