import { dirname } from 'node:path'
import { checkServer } from '../../database/check-server.ts'
import type { RoleConnection } from '../../database/connect-roles.ts'
import { inspectEmbedded } from '../../database/inspect-embedded.ts'
import { isMigrator, readServerFacts } from '../../database/inspect-server.ts'
import type { Config } from '../../runtime/config.ts'
import { formatBytes } from '../format-bytes.ts'
import { examineDisk } from './examine-disk.ts'
import { errorText, type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('database')

export interface PostgresExamination {
  findings: Finding[]
  /** As the worker; undefined when the database cannot be asked. */
  connection: RoleConnection | undefined
  /** A service works on it now. */
  isInUse: boolean
  /** There is no embedded one yet. */
  isNew: boolean
}

/** `isOurs`: this user may look into the data folder. */
export async function examinePostgres(config: Config, isOurs: boolean): Promise<PostgresExamination> {
  return config.database === undefined ? examineEmbedded(config.dataDirectory, isOurs) : examineUrls(config.database)
}

async function examineEmbedded(dataDirectory: string, isOurs: boolean): Promise<PostgresExamination> {
  const found = await inspectEmbedded(dataDirectory)
  const nothing = { connection: undefined, isInUse: false, isNew: false }
  if (found.state === 'none') {
    return {
      findings: [unseen('there is no embedded PostgreSQL yet', 'The first start makes it.')],
      ...nothing,
      isNew: true,
    }
  }
  if (found.state === 'unreadable') {
    const otherUser = unseen(found.reason, 'Run this as the user of the service, or as root.')
    const broken = problem(found.reason, 'Mend that, or restore a backup to a new data folder.')
    return { findings: [isOurs ? broken : otherUser], ...nothing }
  }
  const findings = programFindings(found.programs, found.majorVersion)
  if (found.state === 'stopped') {
    const stale = 'The file postmaster.pid of a server that was killed is still there; the next start removes it.'
    const advice = `npm start, then run this again to see what is in it.${found.hasStaleProcessFile ? ` ${stale}` : ''}`
    findings.push(unseen(`PostgreSQL in ${found.folder} does not run, and is not started for this`, advice))
    return { findings, ...nothing }
  }
  const connection = { connection: found.superuser, role: 'qflare_worker', isPooled: false }
  const answers = await examineServer(connection)
  // As root its data may lie elsewhere than the data folder.
  if (dirname(found.folder) !== dataDirectory) findings.push(await examineDisk('database', found.folder))
  findings.push(ok(`PostgreSQL runs as process ${found.processId} in ${found.folder}`), ...answers.findings)
  if (answers.canAsk && !answers.isInUse) {
    findings.push(warning('no service holds it: one was killed and left it', 'npm start goes on with it.'))
  }
  return {
    findings,
    connection: answers.canAsk ? connection : undefined,
    isInUse: answers.isInUse,
    isNew: false,
  }
}

function programFindings(programs: { version: string } | { problem: string }, majorVersion: string): Finding[] {
  if ('problem' in programs) return [problem('PostgreSQL’s programs do not run on this machine', programs.problem)]
  if (programs.version.split('.')[0] === majorVersion) return [ok(`PostgreSQL ${programs.version} is installed`)]
  const versions = `the data is of PostgreSQL ${majorVersion}, the programs are ${programs.version}`
  return [problem(versions, 'Start the release of QFLARE that made it.')]
}

async function examineUrls(urls: NonNullable<Config['database']>): Promise<PostgresExamination> {
  const findings: Finding[] = []
  const isPooled = urls.direct !== undefined
  for (const [name, connectionString, mayBePooled] of [
    ['DATABASE_URL', urls.api, isPooled],
    ['QFLARE_DATABASE_URL_AUDITOR', urls.auditor, isPooled],
    ['QFLARE_DATABASE_URL_WORKER', urls.worker, isPooled],
    ['QFLARE_DATABASE_URL_SEQUENCER', urls.sequencer, isPooled],
    ['QFLARE_DATABASE_URL_QUEUES', urls.queues, false],
    ['QFLARE_DATABASE_URL_DIRECT', urls.direct, false],
  ] as const) {
    if (connectionString === undefined) continue
    try {
      await checkServer({ connectionString, connectionTimeoutMillis: 5_000 }, undefined, mayBePooled)
      findings.push(ok(`${name} answers, with the rights of one role and this release's schema`))
    } catch (error) {
      findings.push(problem(`${name}: ${errorText(error)}`, 'docs/operations.md says how its logins are made.'))
    }
  }
  findings.push(await migratorFinding(urls.migrator))
  const connection = { connection: { connectionString: urls.worker }, role: undefined, isPooled }
  const answers = await examineServer(connection)
  findings.push(...answers.findings)
  return { findings, connection: answers.canAsk ? connection : undefined, isInUse: answers.isInUse, isNew: false }
}

async function migratorFinding(connectionString: string | undefined): Promise<Finding> {
  if (connectionString === undefined) return ok('this process does not migrate: qflare migrate does')
  const advice = 'grant qflare_owner to its login with inherit false; docs/operations.md.'
  try {
    if (await isMigrator({ connectionString })) return ok('QFLARE_DATABASE_URL_MIGRATOR answers and can migrate')
    return problem('QFLARE_DATABASE_URL_MIGRATOR cannot become qflare_owner', advice)
  } catch (error) {
    return problem(`QFLARE_DATABASE_URL_MIGRATOR: ${errorText(error)}`, advice)
  }
}

/** Whether each is still what ran is for `checkServer` to say. */
function migrationsFinding(applied: readonly string[], unhashed: readonly string[]): Finding {
  if (unhashed.length === 0) return ok(`${applied.length} migrations are applied, and what they were is kept`)
  return unseen(
    `${applied.length} migrations are applied; what ${unhashed.length} of them were is not kept`,
    'The next start that migrates, or qflare migrate, takes them for those of its release, and keeps that.',
  )
}

async function examineServer({ connection, role, isPooled }: RoleConnection) {
  try {
    const { version, sizeBytes, isInUse, migrations, unhashedMigrations } = await readServerFacts(connection)
    const findings = [ok(`PostgreSQL ${version} answers; the database has ${formatBytes(sizeBytes)}`)]
    findings.push(migrationsFinding(migrations, unhashedMigrations))
    try {
      if (role !== undefined) await checkServer(connection, role, isPooled)
    } catch (error) {
      findings.push(
        problem(errorText(error), 'A start of this release migrates an older schema; for the rest see the text.'),
      )
    }
    return { findings, canAsk: true, isInUse }
  } catch (error) {
    const advice = 'Is it running, and are address and password right? Its log says more.'
    return { findings: [problem(`it cannot be asked (${errorText(error)})`, advice)], canAsk: false, isInUse: false }
  }
}
