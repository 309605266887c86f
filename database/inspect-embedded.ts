import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientConfig } from 'pg'
import { inspectBinaries } from './embedded/binaries.ts'
import { readPassword } from './embedded/cluster.ts'
import { EmbeddedPostgresError, findErrorCode } from './embedded/error.ts'
import { findCluster, type Location } from './embedded/location.ts'
import { findPostmaster, readPidFile } from './embedded/postmaster-file.ts'
import { readSmallFile } from './embedded/read-small-file.ts'
import { postgresPort } from './embedded/socket-folder.ts'
import { EMBEDDED_DATABASE } from './prepare-embedded.ts'

/** What the embedded PostgreSQL of a data folder is doing. */
export type EmbeddedState =
  | { state: 'none' }
  /** It is there, but not for this user or not whole; `reason` says what to do. */
  | { state: 'unreadable'; reason: string }
  | ({ state: 'stopped'; hasStaleProcessFile: boolean } & EmbeddedFiles)
  | ({ state: 'running'; processId: number; superuser: ClientConfig } & EmbeddedFiles)

interface EmbeddedFiles {
  folder: string
  /** Of the data: '18'. */
  majorVersion: string
  /** Of the programs that are installed: '18.4'; or why they do not run. */
  programs: { version: string } | { problem: string }
}

/** Looks at files and processes; starts nothing and changes nothing. */
export async function inspectEmbedded(dataDirectory: string): Promise<EmbeddedState> {
  try {
    const location = await findCluster(await realpath(dataDirectory))
    return location ? await inspectCluster(location) : { state: 'none' }
  } catch (error) {
    if (findErrorCode(error) === 'ENOENT') return { state: 'none' }
    const isRefusal = error instanceof EmbeddedPostgresError || findErrorCode(error) !== undefined
    if (!isRefusal) throw error
    return { state: 'unreadable', reason: (error as Error).message }
  }
}

async function inspectCluster({ folder, account }: Location): Promise<EmbeddedState> {
  const pgdata = join(folder, 'data')
  const majorVersion = (await readSmallFile(join(pgdata, 'PG_VERSION'))).trim()
  const binaries = await inspectBinaries(account)
  const programs = typeof binaries === 'string' ? { problem: binaries } : { version: binaries.version }
  const files = { folder, majorVersion, programs }
  const password = await readPassword(join(folder, 'password'))
  const postmaster = await findPostmaster({ folder, pgdata, account, password })
  if (!postmaster) {
    return { state: 'stopped', hasStaleProcessFile: (await readPidFile(pgdata)) !== undefined, ...files }
  }
  const { processId, socketFolder: host } = postmaster
  const superuser = { host, port: postgresPort, user: 'postgres', password, database: EMBEDDED_DATABASE }
  return { state: 'running', processId, superuser, ...files }
}
