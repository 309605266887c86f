import { existsSync, readdirSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { createCluster, openCluster } from '../../database/embedded/cluster.ts'
import { locateCluster } from '../../database/embedded/location.ts'
import { startPostmaster, stopPostmaster } from '../../database/embedded/postmaster.ts'
import { toCommand } from '../../database/embedded/settings.ts'
import { chooseSocketFolder, postgresPort } from '../../database/embedded/socket-folder.ts'
import type { EmbeddedPostgres } from '../../database/embedded.ts'

const PLACE = '/usr/lib/postgresql'
const STOPPED_WITHIN_MS = 10_000

/** The oldest major version that Debian's packages have put on this machine. */
const version = existsSync(PLACE)
  ? readdirSync(PLACE)
      .filter((name) => existsSync(join(PLACE, name, 'bin', 'initdb')))
      .sort((a, b) => Number(a) - Number(b))[0]
  : undefined

/** Whether this machine has Debian's `postgresql-15`. In CI it has to: a test that is skipped there proves nothing. */
export const hasDebianPostgres = process.env.CI === 'true' || version !== undefined

/** Debian's PostgreSQL in a folder of its own, made where it is missing, as the embedded one is run. */
export async function startDebianPostgres(options: { dataDirectory: string }): Promise<EmbeddedPostgres> {
  if (version === undefined) throw new Error(`this machine has no PostgreSQL in ${PLACE}`)
  const bin = join(PLACE, version, 'bin')
  const binaries = { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), version }
  await mkdir(options.dataDirectory, { recursive: true, mode: 0o711 })
  const location = await locateCluster(await realpath(options.dataDirectory), () => {})
  if (location.isNew) await createCluster(location, binaries)
  const cluster = await openCluster(location, binaries)
  const socketFolder = await chooseSocketFolder(cluster)
  const command = toCommand(binaries.postgres, cluster.pgdata, socketFolder, {})
  const { processId } = await startPostmaster(cluster, command, socketFolder)
  return {
    host: socketFolder,
    port: postgresPort,
    superuserPassword: cluster.password,
    processId,
    stop: () => stopPostmaster(cluster, processId, STOPPED_WITHIN_MS),
  }
}
