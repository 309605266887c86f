import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type BuiltPackage, buildPackage } from '../../scripts/build-package.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** The Node that the machine brings, which knows nothing of ours; undefined where there is none but that of node_modules. */
export const systemNode = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => folder !== '' && !folder.includes('node_modules'))
  .map((folder) => join(folder, 'node'))
  .find((path) => existsSync(path))

export interface Project {
  folder: string
  built: BuiltPackage
  remove(): Promise<void>
}

/**
 * A project of somebody else, outside this repository, into which npm installed the packed package. There is no network:
 * its dependencies are linked to ours.
 */
export async function installPackage(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-project-'))
  const built = await buildPackage(join(folder, 'built'))
  const project = join(folder, 'project')
  await mkdir(project)
  const cache = ['--cache', join(folder, 'cache'), '--loglevel=error']
  await run('npm', ['pack', '--pack-destination', project, ...cache], { cwd: built.folder })
  const linked = [
    'zod',
    '@noble/ciphers',
    '@noble/curves',
    '@noble/hashes',
    '@noble/post-quantum',
    '@types/node',
    'undici-types',
  ]
  const manifest = {
    name: 'project',
    private: true,
    type: 'module',
    dependencies: {
      qflare: `file:${built.name}-${built.version}.tgz`,
      ...Object.fromEntries(linked.map((name) => [name, `file:${join(root, 'node_modules', name)}`])),
    },
  }
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest))
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...cache], { cwd: project })
  return { folder: project, built, remove: () => rm(folder, { recursive: true, force: true }) }
}
