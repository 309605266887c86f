import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
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

it('the command may be executed as it stands in the repository', async () => {
  const { bin } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { bin: { qflare: string } }
  expect((await stat(join(root, bin.qflare))).mode & 0o111).toBe(0o111)
})
