import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../../database/open.ts'
import { listTemporalKeys } from '../../database/repositories/temporal-keys.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { findRecord, isOnMemory, listRecords } from '../../runtime/temporal/file-temporal-key-store.ts'
import { listTemporalHomes, temporalKeyFolders } from '../../runtime/temporal/temporal-key-folder.ts'
import type { TemporalKeyName } from '../../runtime/temporal/temporal-key-store.ts'
import { BUCKETS_AHEAD, EPOCHS_AHEAD } from '../../runtime/temporal/temporal-record.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('temporal keys')

/** Without `known`, only what the folder itself tells. */
export async function examineTemporalKeys(options: {
  dataDirectory: string
  /** Of the service's user. */
  uid: number
  now: number
  known: { database: Database; crypto: Primitives; rootKid: string; isInUse: boolean } | undefined
}): Promise<Finding[]> {
  const { dataDirectory, uid, now, known } = options
  const parent = await findFolder(dataDirectory, uid)
  if (parent === undefined) {
    const advice = 'The next start makes it; sessions of an earlier run are over then.'
    return [
      known?.isInUse ? problem('their folder is gone', 'Restart the service.') : unseen('there is no folder', advice),
    ]
  }
  const findings = await mediumFindings(parent)
  if (known === undefined) {
    const homes = await readdir(parent).catch(() => [])
    const records = await Promise.all(homes.map((home) => listRecords(join(parent, home))))
    return [...findings, ...overdueFindings(records.flat(), now, false)]
  }
  const folder = join(parent, known.rootKid)
  const records = await listRecords(folder)
  findings.push(...overdueFindings(records, now, known.isInUse))
  findings.push(await presentFinding(folder, known, now))
  findings.push(...(await unknownFindings(records, known.database)))
  findings.push(...otherHomesFindings(await listTemporalHomes(dataDirectory, uid), folder))
  return findings
}

/** No service destroys them: they are of a data folder that was here before, or of another medium. */
function otherHomesFindings(homes: readonly string[], own: string): Finding[] {
  return homes
    .filter((home) => home !== own)
    .map((home) =>
      warning(
        `${home} has keys of another root of trust or an earlier run`,
        'The next start destroys them; with DATABASE_URL remove the folder, if no other service uses it.',
      ),
    )
}

async function findFolder(dataDirectory: string, uid: number): Promise<string | undefined> {
  const { memory, disk } = await temporalKeyFolders(dataDirectory, uid)
  for (const folder of [memory, disk]) if ((await stat(folder).catch(() => undefined))?.isDirectory()) return folder
  return undefined
}

async function mediumFindings(folder: string): Promise<Finding[]> {
  const { mode } = await stat(folder)
  if ((mode & 0o077) !== 0) {
    return [problem(`${folder} is open to others (mode ${(mode & 0o777).toString(8)})`, `chmod 700 ${folder}`)]
  }
  if (await isOnMemory(folder)) return [ok(`${folder} is on memory: what is deleted there is gone`)]
  return [warning(`${folder} is on a disk, which may keep what is deleted`, 'Mount a memory file system at /dev/shm.')]
}

/** Keys that should be dead, which happens while the service does not run. */
function overdueFindings(records: readonly TemporalKeyName[], now: number, isInUse: boolean): Finding[] {
  // The schedule looks every two seconds.
  const ended = records.filter(({ number }) => (number + 1) * BUCKET_MS + GRACE_MS + 10_000 < now)
  if (ended.length === 0) return []
  const message = `${ended.length} keys are still there whose time is over`
  const advice = 'A start destroys them; where the service shall stay stopped, remove the folder.'
  return [isInUse ? problem(message, 'See the log of the service and /ready.') : warning(message, advice)]
}

async function presentFinding(
  folder: string,
  { database, crypto, isInUse }: { database: Database; crypto: Primitives; isInUse: boolean },
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
    const record = row === undefined ? undefined : await findRecord(folder, row)
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
async function unknownFindings(records: readonly TemporalKeyName[], database: Database): Promise<Finding[]> {
  const unknown: TemporalKeyName[] = []
  for (const record of records) {
    const rows = await database.withoutOrganization((tx) => listTemporalKeys(tx, record.kind, record.number))
    if (!rows.some(({ generation }) => generation === record.generation)) unknown.push(record)
  }
  if (unknown.length === 0) return []
  return [
    warning(
      `${unknown.length} records are unknown to the database: it is older than they are, as after a restore by hand`,
      'Stop the service and remove the folder: sessions end, devices exchange again, and no key outlives its time.',
    ),
  ]
}
