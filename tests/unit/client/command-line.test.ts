import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { runCommandLine } from '../../../client/command/run.ts'

const commands = ['token create', 'enroll', 'exchange', 'key', 'status', 'device list', 'device revoke']

afterEach(() => vi.restoreAllMocks())

/** In this process: what is wrong with a command line is found before anything is read or asked. */
async function runHere(args: string[]) {
  const lines = { stdout: [] as unknown[], stderr: [] as unknown[] }
  vi.spyOn(console, 'log').mockImplementation((line) => void lines.stdout.push(line))
  vi.spyOn(console, 'error').mockImplementation((line) => void lines.stderr.push(line))
  const exitCode = await runCommandLine(args)
  return { exitCode, stdout: lines.stdout.join('\n'), stderr: lines.stderr.join('\n') }
}

describe('help', () => {
  it.each(commands)('of %s names its flags and the exit codes', async (command) => {
    const { exitCode, stdout } = await runHere([...command.split(' '), '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`qflare ${command}`)
    for (const part of ['--json', '--url URL', '--insecure-http', 'Exit codes:']) expect(stdout).toContain(part)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })

  it('lists every command, and the version is that of the package', async () => {
    const { stdout } = await runHere(['--help'])
    for (const command of commands) expect(stdout).toContain(`  ${command}`)
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }
    expect(await runHere(['--version'])).toMatchObject({ exitCode: 0, stdout: version })
  })
})

describe('a wrong command line ends with 2 and one line on stderr:', () => {
  it.each([
    ['no command', []],
    ['an unknown command', ['fly']],
    ['half a command', ['token']],
    ['an unknown flag', ['exchange', '--fast']],
    ['a token as a flag', ['enroll', '--token=0199.secretsecret.pin']],
    ['a flag without its value', ['enroll', '--name']],
    ['an unknown kind', ['token', 'create', '--kind', 'server']],
    ['a time that is no number', ['token', 'create', '--ttl', '1h']],
    ['an unknown algorithm', ['enroll', '--alg', 'Dilithium2']],
    ['a name with a control character', ['enroll', '--name', 'a\u0007']],
    ['an unknown purpose', ['key', '--purpose', 'seal']],
    ['a context that is not base64url', ['key', '--purpose', 'round', '--context', 'a=']],
    ['a context where there is none', ['key', '--context', 'AAAA']],
    ['reveal and out', ['key', '--reveal', '--out', 'x']],
    ['no id', ['device', 'revoke']],
    ['an id that is none', ['device', 'revoke', 'edge-1']],
    ['plain http elsewhere', ['status', '--url', 'http://trust.example']],
    ['a URL that is none', ['device', 'list', '--url', 'trust.example']],
  ])('%s', async (_what, args) => {
    const run = await runHere(args)
    expect(run).toMatchObject({ exitCode: 2, stdout: '' })
    expect(run.stderr).toMatch(/^qflare: .+$/)
    expect(run.stderr).not.toContain('secretsecret')
  })
})
