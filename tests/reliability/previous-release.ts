import { execFile } from 'node:child_process'
import { readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeFolder } from './killed-service.ts'

const run = promisify(execFile)
const here = fileURLToPath(new URL('../..', import.meta.url))
/** As root in a clone that belongs to another user git refuses to work, unless told that the folder is trusted. */
const anybodys = ['-c', 'safe.directory=*']
const MIGRATIONS = ['database/migrations', 'database/migrations.ts']

export interface PreviousRelease {
  /** What it is, as git names it. */
  ref: string
  checkout: string
  remove(): Promise<void>
}

/** What stands before this checkout, or why there is nothing to be had. */
export async function findPreviousRelease(): Promise<{ ref: string } | { missing: string }> {
  const { QFLARE_UPGRADE_FROM: given } = process.env
  if (given !== undefined && given !== '') return { ref: given }
  if ((await git('rev-parse', 'HEAD')) === undefined) return { missing: 'this is no checkout of git' }
  const tag = await git('describe', '--tags', '--abbrev=0', '--match', 'v*', 'HEAD^')
  if (tag !== undefined) return { ref: tag }
  if (await git('status', '--porcelain', '--', ...MIGRATIONS)) return { ref: 'HEAD' }
  // Before the first release: the commit before the newest that changed the schema.
  const changed = await git('rev-list', '--first-parent', '--max-count=1', 'HEAD', '--', ...MIGRATIONS)
  const ref = changed && (await git('rev-parse', '--verify', '--quiet', `${changed}^`))
  return ref ? { ref } : { missing: 'the history of this checkout does not reach back to another schema' }
}

/** Puts it into a folder of its own, with the packages of this checkout where they are the same. */
export async function checkOutRelease(ref: string): Promise<PreviousRelease> {
  const checkout = await makeFolder('qflare-previous-')
  const remove = () => rm(checkout, { recursive: true, force: true })
  try {
    const archive = join(checkout, 'archive.tar')
    await run('git', [...anybodys, 'archive', '--format=tar', `--output=${archive}`, ref], { cwd: here })
    await run('tar', ['-xf', archive, '-C', checkout])
    await rm(archive)
    const [theirs, ours] = await Promise.all(
      [checkout, here].map((folder) => readFile(join(folder, 'package-lock.json'), 'utf8')),
    )
    if (theirs === ours) await symlink(join(here, 'node_modules'), join(checkout, 'node_modules'))
    else await run('npm', ['ci', '--ignore-scripts', '--omit=dev', '--loglevel=error'], { cwd: checkout })
    return { ref, checkout, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Undefined where git says no, or is not there. */
async function git(...args: string[]): Promise<string | undefined> {
  try {
    return (await run('git', [...anybodys, ...args], { cwd: here })).stdout.trim()
  } catch {
    return undefined
  }
}
