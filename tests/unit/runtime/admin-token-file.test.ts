import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { adminTokenFile, keepAdminToken } from '../../../runtime/secrets.ts'
import { copyNodeForOthers, NOBODY } from '../../support/other-user.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-admin-token-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  path = adminTokenFile(folder)
})

const read = async (name: string) => (await readFile(join(folder, name), 'utf8')).trim()

describe('the file of an admin token', () => {
  test('is written for its owner alone, and each one before it is kept under a name of its own', async () => {
    for (const token of ['first', 'second', 'third', 'fourth']) await keepAdminToken(path, token)
    expect((await readdir(folder)).sort()).toEqual([
      'admin-token',
      'admin-token.replaced',
      'admin-token.replaced-2',
      'admin-token.replaced-3',
    ])
    expect(await read('admin-token')).toBe('fourth')
    expect([await read('admin-token.replaced'), await read('admin-token.replaced-3')]).toEqual(['first', 'third'])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('stays what it is when the new one cannot be written', async () => {
    await keepAdminToken(path, 'first')
    // What a full disk does, for this process's files.
    const module = join(import.meta.dirname, '..', '..', '..', 'runtime', 'secrets.ts')
    const script = `process.on('SIGXFSZ', () => {})
      const { keepAdminToken } = await import(${JSON.stringify(module)})
      await keepAdminToken(process.argv[1], 'x'.repeat(4096)).then(() => process.exit(0), () => process.exit(7))`
    const node = [process.execPath, '--input-type=module', '--eval', script, path]
    const child = spawn('/bin/sh', ['-c', 'ulimit -f 1; exec "$@"', 'sh', ...node], { stdio: 'ignore' })
    expect(await once(child, 'close')).toEqual([7, null])
    expect(await readdir(folder)).toEqual(['admin-token'])
    expect(await read('admin-token')).toBe('first')
  })

  test('of two at once is in some file, or its maker is told', async () => {
    const made = await Promise.allSettled(['one', 'two'].map((token) => keepAdminToken(path, token)))
    const kept = await Promise.all((await readdir(folder)).map(read))
    const acknowledged = ['one', 'two'].filter((_, index) => made[index]?.status === 'fulfilled')
    expect(acknowledged.filter((token) => !kept.includes(token))).toEqual([])
    expect(acknowledged).not.toEqual([])
  })

  test.skipIf(process.getuid?.() !== 0)('never gives another file away, whatever its name becomes', async () => {
    await chown(folder, NOBODY, NOBODY)
    const victim = `${folder}-victim`
    await writeFile(victim, 'root’s', { mode: 0o600 })
    onTestFinished(() => rm(victim, { force: true }))
    await symlink(victim, path)
    const swap = `const { renameSync, symlinkSync } = require('node:fs')
      process.stdout.write('x')
      for (;;) try {
        symlinkSync(process.argv[2], process.argv[1] + '.link'); renameSync(process.argv[1] + '.link', process.argv[1])
      } catch {}`
    const node = await copyNodeForOthers()
    const attacker = spawn(node, ['--eval', swap, path, victim], { uid: NOBODY, gid: NOBODY, cwd: '/' })
    onTestFinished(async () => {
      attacker.kill('SIGKILL')
      await once(attacker, 'close')
    })
    await once(attacker.stdout, 'data')
    for (let round = 0; round < 100; round++) await keepAdminToken(path, `token ${round}`).catch(() => undefined)
    expect((await stat(victim)).uid).toBe(0)
    expect(await readFile(victim, 'utf8')).toBe('root’s')
  })
})
