import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { entries } from '../../../client/command/entries.ts'
import { runHere } from '../../support/run-here.ts'

describe('help', () => {
  it.each(entries)('of $name names its flags and the exit codes', async ({ name: command, load }) => {
    const { isLocal = false } = (await load()).description
    const { exitCode, stdout } = await runHere([...command.split(' '), '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`qflare ${command}`)
    for (const part of ['--json', 'Examples:', 'Exit codes:']) expect(stdout).toContain(part)
    expect(stdout.includes('--url URL')).toBe(!isLocal)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    expect(await runHere(['help', ...command.split(' ')])).toMatchObject({ exitCode: 0, stdout })
  })

  it('lists every command, and the version is that of the package', async () => {
    const { stdout } = await runHere(['--help'])
    for (const { name } of entries) expect(stdout).toContain(`  ${name}`)
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
    ['a time that is none', ['token', 'create', '--ttl', '1w']],
    ['a time of nothing', ['token', 'create', '--ttl', '0h']],
    ['an unknown algorithm', ['enroll', '--alg', 'Dilithium2']],
    ['a name with a control character', ['enroll', '--name', 'a\u0007']],
    ['an unknown purpose', ['key', '--purpose', 'seal']],
    ['a context that is not base64url', ['key', '--purpose', 'round', '--context', 'a=']],
    ['a context where there is none', ['key', '--context', 'AAAA']],
    ['a round key without a context', ['key', '--purpose', 'round']],
    ['a round key with an empty context', ['key', '--purpose', 'round', '--context', '']],
    ['reveal and out', ['key', '--reveal', '--out', 'x']],
    ['no id', ['device', 'revoke']],
    ['an id that is none', ['device', 'revoke', 'edge-1']],
    ['plain http elsewhere', ['status', '--url', 'http://trust.example']],
    ['a URL that is none', ['device', 'list', '--url', 'trust.example']],
    ['an unknown status', ['device', 'list', '--status', 'gone']],
    ['a type that is no label', ['device', 'list', '--type', 'GPU node']],
    ['a point in time that is none', ['device', 'list', '--seen-after', 'yesterday']],
    ['no items', ['device', 'list', '--limit', '0']],
    ['a change of nothing', ['device', 'set', '0199b0a4-7e1c-7000-8000-000000000001']],
    ['metadata without a value', ['device', 'set', '0199b0a4-7e1c-7000-8000-000000000001', '--metadata', 'site']],
    ['an API token without roles', ['api-token', 'create', '--name', 'ci']],
    ['an unknown role', ['api-token', 'create', '--name', 'ci', '--roles', 'operator,root']],
    ['an organization without a name', ['organization', 'create', '']],
    ['many tokens without a file for them', ['token', 'create', '--from', 'fleet.csv']],
    ['a file of tokens of an unknown format', ['token', 'create', '--from', 'fleet.csv', '--out', 'tokens.txt']],
    ['one name for many tokens', ['token', 'create', '--from', 'a.csv', '--out', 'b.csv', '--name', 'edge']],
    ['nothing to continue', ['token', 'create', '--continue']],
    ['an unknown shell', ['completion', 'tcsh']],
  ])('%s', async (_what, args) => {
    const run = await runHere(args)
    expect(run).toMatchObject({ exitCode: 2, stdout: '' })
    expect(run.stderr).toMatch(/^qflare: .+$/)
    expect(run.stderr).not.toContain('secretsecret')
  })
})

describe('what was mistyped is answered with what was probably meant:', () => {
  it.each([
    [['devce', 'list'], 'Did you mean qflare device list?'],
    [['device', 'lst'], 'Did you mean qflare device list?'],
    [['enrol'], 'Did you mean qflare enroll?'],
    [['tokens'], 'Did you mean qflare token?'],
    [['enroll', '--nmae', 'a'], 'Did you mean --name?'],
    [['device', 'list', '--stauts=active'], 'Did you mean --status?'],
    [['completion', 'bsh'], 'Did you mean bash?'],
    [['device'], 'list, show, set, suspend, resume, clear-quarantine, lift-restrictions, revoke'],
    [['--json', 'device', 'list'], 'flags follow'],
  ])('%j', async (args, hint) => {
    expect(await runHere(args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(hint) })
  })

  it('nothing is guessed from far away, and nothing typed is repeated', async () => {
    const run = await runHere(['0199b0a4.secretsecret'])
    expect(run).toMatchObject({ exitCode: 2, stderr: expect.not.stringMatching(/Did you mean|secretsecret/) })
  })
})

describe('groups of commands', () => {
  it.each(['token', 'device', 'session', 'audit', 'api-token', 'organization'])(
    '%s --help lists its commands',
    async (group) => {
      const { exitCode, stdout } = await runHere([group, '--help'])
      const members = entries.filter(({ name }) => name.startsWith(`${group} `))
      expect(exitCode).toBe(0)
      expect(members.length).toBeGreaterThan(1)
      for (const { name, summary } of members) expect(stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'))
      expect(await runHere(['help', group])).toMatchObject({ exitCode: 0, stdout })
    },
  )
})

describe('commands of another program', () => {
  it('are listed, helped with and run like ours', async () => {
    const ran: string[][] = []
    const examine = {
      name: 'machine examine',
      summary: 'looks at this machine',
      load: async () => ({
        description: { name: 'machine examine', summary: 'Looks.', flags: {}, examples: [] },
        run: async (args: string[]) => {
          ran.push(args)
          return 0 as const
        },
      }),
    }
    const extra = [examine]
    expect((await runHere(['help'], { extra })).stdout).toContain('looks at this machine')
    expect((await runHere(['machine', 'examine', '--help'], { extra })).stdout).toContain('Looks.')
    expect((await runHere(['machine', 'exmine'], { extra })).stderr).toContain('machine examine')
    expect(await runHere(['machine', 'examine', '--x'], { extra })).toMatchObject({ exitCode: 0 })
    expect(ran).toEqual([['--x']])
  })
})
