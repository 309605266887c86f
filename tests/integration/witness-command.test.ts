import { chmod, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { entries } from '../../operations/entries.ts'
import { runHere } from '../support/run-here.ts'
import { makeLog } from '../support/test-log.ts'
import { ask, cosignatureOf, crypto, makeFolder, spawnWitness, startHere, WITNESS } from '../support/witness.ts'

const log = makeLog(crypto, 'log.example/audit')
const { vkey: logKey } = log.signer

function run(folder: string, ...args: string[]) {
  return runHere(['witness', '--name', WITNESS, '--data-dir', folder, ...args], { extra: entries })
}

async function expectRefused(folder: string, message: RegExp, code: string, ...args: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await run(folder, '--port', '0', '--log', logKey, ...args)
  expect(stderr).toMatch(message)
  expect(stderr).toContain(`(${code})`)
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
}

/** After one cosignature of size 3. */
async function makeUsedFolder(): Promise<{ folder: string; stateFile: string }> {
  const folder = await makeFolder()
  const witness = await startHere(folder, [logKey])
  await ask(witness.url, log, 0, 3)
  await witness.close()
  const [name = ''] = (await readdir(folder)).filter((file) => file.endsWith('.state'))
  return { folder, stateFile: join(folder, name) }
}

describe('qflare witness', () => {
  it('makes its key once, of mode 0600, and shows it without a start', async () => {
    const folder = join(await makeFolder(), 'new')
    const first = await run(folder, '--show-key')
    expect(first).toMatchObject({ exitCode: 0, stderr: '' })
    expect(first.stdout).toMatch(new RegExp(`^${WITNESS}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]+$`))
    expect((await stat(join(folder, 'witness-key'))).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    const again = await run(folder, '--show-key', '--json')
    expect(JSON.parse(again.stdout)).toEqual({ vkey: first.stdout })
    expect((await spawnWitness(folder, [logKey])).vkey).toBe(first.stdout)
  })

  it('writes no secret to its output, and lets nobody else read its files', async () => {
    const folder = await makeFolder()
    const { url, vkey, stderr, kill } = await spawnWitness(folder, [logKey])
    cosignatureOf(await ask(url, log, 0, 3), vkey, log, 3)
    expect(await kill('SIGTERM')).toBe(0)
    const seed = (await readFile(join(folder, 'witness-key'), 'utf8')).trim()
    expect(stderr()).toContain('cosigned log.example/audit at size 3')
    expect(stderr()).not.toContain(seed)
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o077, name).toBe(0)
  })

  it('refuses a folder that another witness works in, and takes it when that one is gone', async () => {
    const folder = await makeFolder()
    const first = await spawnWitness(folder, [logKey])
    await expectRefused(folder, /Another witness works in/, 'in_use')
    expect(await ask(first.url, log, 0, 1)).toMatchObject({ status: 200 })
    await first.kill('SIGKILL')
    const second = await spawnWitness(folder, [logKey])
    expect(await ask(second.url, log, 1, 2)).toMatchObject({ status: 200 })
  })

  it.each([0o644, 0o640, 0o604])('refuses a key that others may read: mode %o', async (mode) => {
    const { folder } = await makeUsedFolder()
    await chmod(join(folder, 'witness-key'), mode)
    await expectRefused(folder, /witness-key: other users may read it .*chmod 600/, 'configuration_invalid')
    expect(await run(folder, '--show-key')).toMatchObject({ exitCode: 1, stdout: '' })
  })

  it('refuses a key that is a link, is none, or is gone from what it signed for', async () => {
    const { folder } = await makeUsedFolder()
    const path = join(folder, 'witness-key')
    const key = await readFile(path, 'utf8')
    await writeFile(path, key.slice(1))
    await expectRefused(folder, /is not the key of a witness/, 'file_unusable')
    await rm(path)
    await expectRefused(folder, /witness-key is missing, but what it signed for is there/, 'file_unusable')
    const elsewhere = join(await makeFolder(), 'key')
    await writeFile(elsewhere, key, { mode: 0o600 })
    await symlink(elsewhere, path)
    await expectRefused(folder, /ELOOP/, 'file_unusable')
  })

  it.each([
    ['cut short', (text: string) => text.slice(0, 60)],
    ['empty', () => ''],
    ['of another log', (text: string) => text.replace(log.origin, 'other.example/audit')],
    ['of a later version', (text: string) => text.replace('/v1', '/v2')],
  ])('refuses a state that is %s, and does not take it for none', async (_, change) => {
    const { folder, stateFile } = await makeUsedFolder()
    await writeFile(stateFile, change(await readFile(stateFile, 'utf8')))
    await expectRefused(folder, /is not what this witness wrote of log\.example\/audit/, 'file_unusable')
  })

  it('reads its logs from a file, with comments, and says which line is wrong', async () => {
    const folder = await makeFolder()
    const file = join(folder, 'logs')
    const other = makeLog(crypto, 'other.example/audit')
    await writeFile(file, `# two logs\n\n${logKey}\n${other.signer.vkey}\r\nnonsense\n`)
    const { exitCode, stderr } = await run(folder, '--port', '0', '--logs', file)
    expect(stderr).toMatch(/logs, line 5: This is no verifier key/)
    expect(exitCode).toBe(1)
  })

  it('says what is missing on its command line, and what it may not be called', async () => {
    const folder = await makeFolder()
    const usage = async (...args: string[]) => {
      const { exitCode, stderr } = await runHere(['witness', ...args], { extra: entries })
      expect(exitCode).toBe(2)
      return stderr
    }
    expect(await usage('--data-dir', folder, '--log', logKey)).toContain('--name NAME')
    expect(await usage('--name', WITNESS, '--log', logKey)).toContain('--data-dir FOLDER')
    expect(await usage('--name', WITNESS, '--data-dir', folder)).toContain('--log VKEY or --logs FILE')
    expect(await usage('--name', WITNESS, '--data-dir', folder, '--port', '65536')).toContain('from 0 to 65535')
    await expectRefused(
      folder,
      /log\.example\/audit is the name of a log/,
      'configuration_invalid',
      '--name',
      log.origin,
    )
    await expectRefused(folder, /cannot hold the key name/, 'configuration_invalid', '--name', 'a witness')
  })

  it('says that its port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    try {
      await new Promise((resolve) => server.once('listening', resolve))
      const address = server.address()
      const port = typeof address === 'object' ? String(address?.port) : ''
      await expectRefused(await makeFolder(), /is taken by another program/, 'configuration_invalid', '--port', port)
    } finally {
      server.close()
    }
  })
})
