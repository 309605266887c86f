import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findRecord, isOnMemory, listRecords } from '../../runtime/temporal/file-temporal-key-store.ts'
import { listTemporalHomes, temporalKeyFolders } from '../../runtime/temporal/temporal-key-folder.ts'
import { type Finding, findingsOf } from './finding.ts'
import { type KnownKeys, overdueFindings, presentFinding, unknownFindings } from './stored-key-findings.ts'

const { ok, warning, problem, unseen } = findingsOf('temporal keys')

const OVERDUE_ADVICE = 'A start destroys them; where the service shall stay stopped, remove the folder.'
const UNKNOWN_ADVICE =
  'Stop the service and remove the folder: sessions end, devices exchange again, and no key outlives its time.'

/** Where they are files. Without `known`, only what the folder itself tells. */
export async function examineTemporalKeys(options: {
  dataDirectory: string
  /** Of the service's user. */
  uid: number
  now: number
  known: KnownKeys | undefined
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
    return [...findings, ...overdueFindings(records.flat(), now, false, OVERDUE_ADVICE)]
  }
  const folder = join(parent, known.rootKid)
  const records = await listRecords(folder)
  findings.push(...overdueFindings(records, now, known.isInUse, OVERDUE_ADVICE))
  findings.push(await presentFinding((name) => findRecord(folder, name), known, now))
  findings.push(...(await unknownFindings(records, known, UNKNOWN_ADVICE)))
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
