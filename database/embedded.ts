import { mkdir, realpath, stat } from 'node:fs/promises'
import type { ClientConfig } from 'pg'
import { type Binaries, findBinaries } from './embedded/binaries.ts'
import { type Cluster, createCluster, openCluster } from './embedded/cluster.ts'
import { EmbeddedPostgresError, findErrorCode, inUseError, toMessage } from './embedded/error.ts'
import { type FolderLock, lockFolder } from './embedded/folder-lock.ts'
import { announceLocation, type Location, locateCluster, recordLocation } from './embedded/location.ts'
import { claimCluster, type OwnerConnection } from './embedded/owner-connection.ts'
import { startPostmaster, stopPostmaster } from './embedded/postmaster.ts'
import { findPostmaster, type Postmaster } from './embedded/postmaster-file.ts'
import { removeLeftovers } from './embedded/remove-leftovers.ts'
import { toCommand } from './embedded/settings.ts'
import { chooseSocketFolder, postgresPort, removeSocketFolder } from './embedded/socket-folder.ts'

export { EmbeddedPostgresError, type EmbeddedPostgresErrorCode } from './embedded/error.ts'

export interface EmbeddedPostgres {
  /** folder of the unix socket, for pg's `host` */
  readonly host: string
  readonly port: number
  /** of the bootstrap superuser `postgres` */
  readonly superuserPassword: string
  /** of the postmaster */
  readonly processId: number
  /** Fast shutdown; waits until it has ended. May be called again and at any time. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** made with mode 0700 when it is absent */
  readonly dataDirectory: string
  readonly log: (message: string) => void
  /** Called before an empty database is made; a throw ends the start. */
  readonly beforeCreating?: (() => Promise<void>) | undefined
  /** server settings that replace ours, by name */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** Called at most once, when the server or our hold on it is gone without `stop`; what is left to do is to stop. */
  readonly onLost?: (() => void) | undefined
}

const ownerWaitMs = 3_000
const fastShutdownWithinMs = 10_000
/** for a server that already does not answer */
const unhealthyShutdownWithinMs = 3_000

/**
 * Starts PostgreSQL on a data folder, as its only user, or takes over the server that a killed process has left.
 *
 * @throws EmbeddedPostgresError
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    await mkdir(options.dataDirectory, { recursive: true, mode: 0o700 })
    const dataDirectory = await realpath(options.dataDirectory)
    const lock = await lockFolder(dataDirectory, ownerWaitMs)
    if (!lock) throw inUseError(options.dataDirectory)
    try {
      return await startLocked(dataDirectory, options, lock)
    } catch (error) {
      lock.release()
      throw error
    }
  } catch (error) {
    // what is not the system's refusal is a defect
    if (error instanceof EmbeddedPostgresError || findErrorCode(error) === undefined) throw error
    throw new EmbeddedPostgresError('data_unreachable', await unusableText(options.dataDirectory, error), {
      cause: error,
    })
  }
}

async function unusableText(dataDirectory: string, error: unknown): Promise<string> {
  const reason = toMessage(error)
  const owner = (await stat(dataDirectory).catch(() => undefined))?.uid
  const self = process.getuid?.()
  if (owner === undefined || owner === self) {
    return `The data folder ${dataDirectory} cannot be used (${reason}). Mend that, or set QFLARE_DATA_DIR.`
  }
  return `The data folder ${dataDirectory} belongs to user id ${owner}, and this is user id ${self} (${reason}). Start QFLARE as that user, or set QFLARE_DATA_DIR to a folder of your own.`
}

async function startLocked(
  dataDirectory: string,
  options: EmbeddedPostgresOptions,
  lock: FolderLock,
): Promise<EmbeddedPostgres> {
  const { log } = options
  const location = await locateCluster(dataDirectory, log)
  const binaries = await findBinaries(location.account, log)
  await removeLeftovers(location, log)
  if (location.isNew) {
    await options.beforeCreating?.()
    log(`Creating a PostgreSQL ${binaries.version} database in ${location.folder}.`)
    await announceLocation(dataDirectory, location.folder)
    await createCluster(location, binaries)
  }
  await recordLocation(dataDirectory)
  const cluster = await openCluster(location, binaries)

  let stopping: Promise<void> | undefined
  const claim = (socketFolder: string) =>
    claimCluster({
      socketFolder,
      password: cluster.password,
      dataDirectory: options.dataDirectory,
      waitMs: ownerWaitMs,
      onLost: () => {
        if (!stopping) options.onLost?.()
      },
    })
  const command = (socketFolder: string) =>
    toCommand(binaries.postgres, cluster.pgdata, socketFolder, options.settings ?? {})
  const { postmaster, owner } =
    (await adopt(cluster, binaries.version, command, claim, log)) ?? (await start(cluster, command, claim))

  return {
    host: postmaster.socketFolder,
    port: postgresPort,
    superuserPassword: cluster.password,
    processId: postmaster.processId,
    stop: () => {
      stopping ??= (async () => {
        await stopPostmaster(cluster, postmaster.processId, fastShutdownWithinMs)
        await owner.close()
        await removeSocketFolder(postmaster.socketFolder)
        lock.release()
      })()
      return stopping
    },
  }
}

/** Runs a cluster that is not in its place yet for `work` alone, and ends it again. Call under the folder lock. */
export async function withCluster(
  location: Location,
  binaries: Binaries,
  work: (superuser: ClientConfig) => Promise<void>,
): Promise<void> {
  const cluster = await openCluster(location, binaries)
  const command = (socketFolder: string) => toCommand(binaries.postgres, cluster.pgdata, socketFolder, {})
  const claim = (socketFolder: string) =>
    claimCluster({
      socketFolder,
      password: cluster.password,
      dataDirectory: location.folder,
      waitMs: 0,
      onLost: () => {},
    })
  const { postmaster, owner } = await start(cluster, command, claim)
  try {
    const { socketFolder: host } = postmaster
    await work({ host, port: postgresPort, user: 'postgres', password: cluster.password })
  } finally {
    await stopPostmaster(cluster, postmaster.processId, fastShutdownWithinMs)
    await owner.close()
    await removeSocketFolder(postmaster.socketFolder)
  }
}

type Command = (socketFolder: string) => readonly string[]
type ClaimSocket = (socketFolder: string) => Promise<OwnerConnection | undefined>

interface Owned {
  readonly postmaster: Postmaster
  readonly owner: OwnerConnection
}

/** Takes over the server of a process that was killed, if it is healthy and what we would start; else ends it. */
async function adopt(
  cluster: Cluster,
  version: string,
  command: Command,
  claim: ClaimSocket,
  log: (message: string) => void,
): Promise<Owned | undefined> {
  const postmaster = await findPostmaster(cluster)
  if (!postmaster) return undefined
  const { processId, socketFolder } = postmaster
  const owner = await claim(socketFolder)
  const isCurrent = owner?.serverVersion === version && postmaster.commandLine === command(socketFolder).join(' ')
  if (owner && isCurrent) {
    log(`PostgreSQL of an earlier run is still there (process ${processId}); going on with it.`)
    return { postmaster, owner }
  }
  log(
    owner
      ? `PostgreSQL of an earlier run (process ${processId}) has other settings; starting it anew.`
      : `PostgreSQL of an earlier run (process ${processId}) does not answer; starting it anew.`,
  )
  await owner?.close()
  await stopPostmaster(cluster, processId, owner ? fastShutdownWithinMs : unhealthyShutdownWithinMs)
  await removeSocketFolder(socketFolder)
  return undefined
}

async function start(cluster: Cluster, command: Command, claim: ClaimSocket): Promise<Owned> {
  const socketFolder = await chooseSocketFolder(cluster)
  let postmaster: Postmaster | undefined
  try {
    postmaster = await startPostmaster(cluster, command(socketFolder), socketFolder)
    const owner = await claim(socketFolder)
    if (owner) return { postmaster, owner }
    throw new EmbeddedPostgresError('start_failed', `PostgreSQL in ${cluster.folder} started, but does not answer.`)
  } catch (error) {
    // somebody was faster and works with it by now
    if (error instanceof EmbeddedPostgresError && error.code === 'in_use') throw error
    if (postmaster) await stopPostmaster(cluster, postmaster.processId, fastShutdownWithinMs)
    await removeSocketFolder(socketFolder)
    throw error
  }
}
