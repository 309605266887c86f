import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root, systemNode } from '../../support/built-package.ts'

const run = promisify(execFile)

/** As a shell has it that is not one of npm's: our node_modules are not in its PATH. */
const systemPath = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter)

let folder: string
let env: Record<string, string>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-install-'))
  env = {
    PATH: systemPath,
    HOME: folder,
    npm_config_cache: join(folder, 'cache'),
    npm_config_offline: 'true',
    npm_config_ignore_scripts: 'true',
  }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const checkout = () => join(folder, 'checkout')
const link = () => join(checkout(), 'node_modules', '.bin', 'qflare')

/** A checkout of ours, whose only dependency is the Node that we bring: no network. */
async function makeCheckout(bin: string): Promise<void> {
  await mkdir(join(checkout(), 'scripts'), { recursive: true })
  await cp(join(root, 'scripts', 'install.js'), join(checkout(), 'scripts', 'install.js'))
  for (const part of ['operations', 'client']) await symlink(join(root, part), join(checkout(), part))
  await nameCommand(bin)
}

async function nameCommand(bin: string): Promise<void> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const dependencies = { node: `file:${join(root, 'node_modules', 'node')}` }
  const manifest = { name: 'qflare', version, type: 'module', bin: { qflare: bin }, dependencies }
  await writeFile(join(checkout(), 'package.json'), JSON.stringify(manifest))
  await run('npm', ['install', '--package-lock-only'], { cwd: checkout(), env })
}

/** What `npm start` does first. */
const install = async () => (await run('node', ['scripts/install.js'], { cwd: checkout(), env })).stderr

function npx(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return run('npx', ['--no', 'qflare', ...args], { cwd: checkout(), env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
}

describe.skipIf(systemNode === undefined)('npx --no qflare', { timeout: 120_000 }, () => {
  it('runs the command of this checkout, on its own Node, whatever npm’s cache remembers of it', async () => {
    await makeCheckout('old/main.js')
    await mkdir(join(checkout(), 'old'))
    await writeFile(join(checkout(), 'old', 'main.js'), '#!/usr/bin/env node\nconsole.log("the old command")\n')
    await chmod(join(checkout(), 'old', 'main.js'), 0o755)
    expect(await npx()).toMatchObject({ code: 0, stdout: 'the old command\n' })

    await rm(join(checkout(), 'old'), { recursive: true })
    await nameCommand('operations/qflare.ts')
    expect(await npx('help'), 'npm’s cache is stale').toMatchObject({ code: 127 })
    expect(await install()).toContain('npm ci')
    expect(await npx('help')).toMatchObject({ code: 0, stdout: expect.stringContaining('admin-token recover') })
    expect(await npx('version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })

  it('is linked again where nothing has to be installed', async () => {
    await makeCheckout('operations/qflare.ts')
    await install()
    for (const broken of [() => rm(link()), () => rm(link()).then(() => symlink('gone', link()))]) {
      await broken()
      expect(await install()).toBe('')
      expect(await readlink(link())).toBe('../../operations/qflare.ts')
    }
    expect(await npx('help')).toMatchObject({ code: 0 })
  })
})

describe.skipIf(systemNode === undefined)('installing', { timeout: 120_000 }, () => {
  // As npm comes: it would run them all.
  beforeEach(() => {
    env['npm_config_ignore_scripts'] = 'false'
  })

  /** A package that leaves a file where npm runs its program, packed so that npm unpacks it as one of the registry. */
  async function packPackage(name: string): Promise<string> {
    const source = join(folder, 'sources', name)
    await mkdir(source, { recursive: true })
    const scripts = { postinstall: `node -e "require('fs').appendFileSync('${join(folder, name)}.ran', 'ran ')"` }
    await writeFile(join(source, 'package.json'), JSON.stringify({ name, version: '1.0.0', scripts }))
    await run('npm', ['pack', '--pack-destination', folder], { cwd: source, env })
    return `file:${join(folder, `${name}-1.0.0.tgz`)}`
  }

  async function makeCheckoutOf(allowScripts: Record<string, boolean>): Promise<void> {
    await makeCheckout('operations/qflare.ts')
    const names = ['named', 'refused', 'unnamed', 'failing']
    const packed = await Promise.all(names.map(async (name) => [name, await packPackage(name)] as const))
    const manifest = { name: 'qflare', version: '1.0.0', type: 'module', bin: { qflare: 'operations/qflare.ts' } }
    const dependencies = Object.fromEntries(packed)
    await writeFile(join(checkout(), 'package.json'), JSON.stringify({ ...manifest, dependencies, allowScripts }))
    await rm(join(checkout(), 'package-lock.json'))
    await run('npm', ['install', '--package-lock-only'], { cwd: checkout(), env })
  }

  const ran = async () => (await readdir(folder)).filter((name) => name.endsWith('.ran'))

  it.each(['false', 'true'])(
    'runs programs of the packages that are named, of no other, and each once (ignore-scripts: %s)',
    async (ignored) => {
      env['npm_config_ignore_scripts'] = ignored
      await makeCheckoutOf({ named: true, refused: false, absent: true })
      expect(await install()).toContain('npm ci')
      expect(await ran()).toEqual(['named.ran'])
      expect((await readdir(join(checkout(), 'node_modules'))).sort()).toEqual(
        expect.arrayContaining(['named', 'refused', 'unnamed']),
      )
      expect(await install()).toBe('')
      expect(await readFile(join(folder, 'named.ran'), 'utf8')).toBe('ran ')
    },
  )

  it('is not done when such a program fails, and is done again at the next start', async () => {
    await makeCheckoutOf({ failing: true })
    // the program cannot write: its file is a folder
    await mkdir(join(folder, 'failing.ran'))
    await expect(install()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('npm rebuild failed. Nothing was started'),
    })
    await rm(join(folder, 'failing.ran'), { recursive: true })
    expect(await install()).toContain('npm ci')
    expect(await ran()).toEqual(['failing.ran'])
  })
})

it('the command may be executed as it stands in the repository', async () => {
  const { bin } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { bin: { qflare: string } }
  expect((await stat(join(root, bin.qflare))).mode & 0o111).toBe(0o111)
})
