import type { Database } from '../../database/open.ts'
import { listTemporalKeys } from '../../database/repositories/temporal-keys.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { TemporalKeyName, TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { BUCKETS_AHEAD, EPOCHS_AHEAD } from '../../runtime/temporal/temporal-record.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('temporal keys')

/** What the database says of the keys of its root of trust; `isInUse`: a service works on it. */
export interface KnownKeys {
  database: Database
  crypto: Primitives
  rootKid: string
  isInUse: boolean
}

/** Keys that should be dead, which happens while the service does not run. */
export function overdueFindings(
  records: readonly TemporalKeyName[],
  now: number,
  isInUse: boolean,
  advice: string,
): Finding[] {
  // The schedule looks every two seconds.
  const ended = records.filter(({ number }) => (number + 1) * BUCKET_MS + GRACE_MS + 10_000 < now)
  if (ended.length === 0) return []
  const message = `${ended.length} keys are still there whose time is over`
  return [isInUse ? problem(message, 'See the log of the service and /ready.') : warning(message, advice)]
}

/** Those that exchanges need now, as the database knows them. */
export async function presentFinding(
  find: TemporalKeyStore['find'],
  { database, crypto, isInUse }: KnownKeys,
  now: number,
): Promise<Finding> {
  const current = bucketAt(now)
  const wanted = [
    ...Array.from({ length: EPOCHS_AHEAD - 1 }, (_, ahead) => ['epoch', current + ahead] as const),
    ...Array.from({ length: BUCKETS_AHEAD + 1 }, (_, ahead) => ['bucket', current + ahead] as const),
  ]
  const missing: string[] = []
  for (const [kind, number] of wanted) {
    const [row] = await database.withoutOrganization((tx) => listTemporalKeys(tx, kind, number))
    const record = row === undefined ? undefined : await find(row)
    const isThere = row !== undefined && record !== undefined && crypto.equal(crypto.hash256(record), row.recordHash)
    if (!isThere) missing.push(`${kind} ${number}`)
  }
  if (missing.length === 0)
    return ok(`those of now and the next ${EPOCHS_AHEAD - 2} epochs are there, as they were recorded`)
  const message = `${missing.length} of ${wanted.length} are missing or changed: ${missing.slice(0, 4).join(', ')}`
  if (!isInUse) return unseen(message, 'The next start makes them anew; sessions that need them are over.')
  return problem(message, 'They are made anew within 30 seconds; if not, see the log.')
}

/** Records of a time that the database knows nothing of: it is older than they are. */
export async function unknownFindings(
  records: readonly TemporalKeyName[],
  { database }: Pick<KnownKeys, 'database'>,
  advice: string,
): Promise<Finding[]> {
  const unknown: TemporalKeyName[] = []
  for (const record of records) {
    const rows = await database.withoutOrganization((tx) => listTemporalKeys(tx, record.kind, record.number))
    if (!rows.some(({ generation }) => generation === record.generation)) unknown.push(record)
  }
  if (unknown.length === 0) return []
  return [
    warning(
      `${unknown.length} records are unknown to the database: it is older than they are, as after a restore by hand`,
      advice,
    ),
  ]
}
