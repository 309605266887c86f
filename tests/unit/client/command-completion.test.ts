import { spawnSync } from 'node:child_process'
import { beforeAll, describe, expect, it } from 'vitest'
import { entries } from '../../../client/command/entries.ts'
import { runHere } from '../../support/run-here.ts'

const scripts = new Map<string, string>()

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    scripts.set(shell, (await runHere(['completion', shell])).stdout)
  }
})

/** What bash offers for the last word. */
function complete(...words: string[]): string[] {
  const program = `${scripts.get('bash')}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _qflare; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['-c', program, 'bash', 'qflare', ...words], {
    encoding: 'utf8',
  })
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  return stdout.split('\n').filter((word) => word !== '')
}

describe('in bash, qflare completes', () => {
  it('first words, help and version among them', () => {
    expect(complete('')).toEqual(expect.arrayContaining(['enroll', 'token', 'device', 'completion', 'help', 'version']))
    expect(complete('e')).toEqual(['enroll', 'exchange'])
  })

  it('second words, also behind help', () => {
    const members = entries.filter(({ name }) => name.startsWith('device ')).map(({ name }) => name.split(' ')[1])
    expect(complete('device', '')).toEqual(members)
    expect(complete('help', 'device', 'su')).toEqual(['suspend'])
  })

  it.each(entries.map(({ name }) => name))('every flag of %s', async (name) => {
    const entry = entries.find((one) => one.name === name)
    const { flags } = (await entry?.load())?.description ?? {}
    const wanted = Object.keys(flags ?? {}).map((flag) => `--${flag}`)
    expect(complete(...name.split(' '), '--')).toEqual(expect.arrayContaining([...wanted, '--json', '--help']))
  })

  it('the values of a flag, however they are given', () => {
    expect(complete('enroll', '--kind', '')).toEqual(['device', 'coordinator'])
    expect(complete('enroll', '--kind', '=', 'c')).toEqual(['coordinator'])
    expect(complete('enroll', '--kind', '=')).toEqual(['device', 'coordinator'])
    expect(complete('device', 'list', '--status', 'S')).toEqual(['SUSPENDED'])
    expect(complete('completion', 'f')).toEqual(['fish'])
  })

  it('nothing of its own where a file or a free text belongs, so that bash offers files', () => {
    expect(complete('enroll', '--token-file', '')).toEqual([])
    expect(complete('enroll', '--name', 'e')).toEqual([])
  })

  it('nothing for a command that there is not', () => {
    expect(complete('fly', '')).toEqual([])
    expect(complete('device', 'fly', '--')).toEqual([])
  })
})

describe('each script', () => {
  it.each(['bash', 'zsh', 'fish'])('of %s names every command and flag', async (shell) => {
    const script = scripts.get(shell) ?? ''
    for (const entry of entries) {
      const { flags } = (await entry.load()).description
      for (const word of [...entry.name.split(' '), ...Object.keys(flags)]) expect(script).toContain(word)
    }
  })

  it.each([
    ['bash', ['-n']],
    ['zsh', ['-n']],
    ['fish', ['--no-execute']],
  ])('is one that %s can read', (shell, flags) => {
    const { status, stderr, error } = spawnSync(shell, flags, { input: scripts.get(shell) ?? '', encoding: 'utf8' })
    // Not every machine has every shell.
    if (error === undefined) expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    else expect(error).toMatchObject({ code: 'ENOENT' })
  })
})
