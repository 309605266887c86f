import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { type DemoChild, demoMain, demoSteps, useDemo } from '../support/demo.ts'

const suite = useDemo()

describe('told to end, npm run demo', { timeout: 120_000 }, () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('by %s, revokes its devices and ends with %i', async (signal, code) => {
    let told = false
    const run = await suite.start(process.execPath, [demoMain, '--devices', '40'], {}, (child, text) => {
      if (told || !text.includes('devices enrol')) return
      told = true
      child.kill(signal)
    })
    expect(run).toMatchObject({ exitCode: code, stderr: '', stdout: expect.stringContaining('Interrupted') })
    expect((await suite.fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('while it waits for the security monitor, says whose the incidents are then', async () => {
    let told = false
    const none = { answer: { items: [], nextCursor: null } }
    suite.proxy.treat = (line) => (line.startsWith('GET /v1/incidents?') ? none : 'forward')
    const run = await suite.start(process.execPath, [demoMain, '--devices', '3'], {}, (child, text) => {
      if (told || !text.includes('Look at it yourself')) return
      told = true
      child.kill('SIGINT')
    })
    expect(run).toMatchObject({ exitCode: 130, stderr: '' })
    expect(run.stdout).toMatch(/^FAIL {2}resolve incidents: .* Nobody waited for the security monitor\.$/m)
    expect(run.stdout).toContain('Its incidents are yours to resolve: npx --no qflare incidents list --status open')
  })
})

describe.skipIf(process.platform !== 'linux')('on a terminal, npm run demo', { timeout: 120_000 }, () => {
  const onTerminal = (
    env: Record<string, string>,
    onOutput: (child: DemoChild, text: string) => void = () => undefined,
    { columns, devices } = { columns: 100, devices: 40 },
  ) => {
    const command = `stty cols ${columns}; ${process.execPath} ${demoMain} --devices ${devices}`
    return suite.start('script', ['-qec', command, '/dev/null'], env, onOutput)
  }

  it('moves, and leaves each step on a line of its own and the cursor visible', async () => {
    const { exitCode, stdout } = await onTerminal({})
    expect(exitCode).toBe(0)
    expect(stripVTControlCharacters(stdout)).toMatch(/━─* {2}exchange keys {2}\d+\/40/)
    expect(stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stdout.lastIndexOf('\u001b[?25l'))
    const left = stripVTControlCharacters(stdout)
      .split('\n')
      .map((line) => line.slice(line.trimEnd().lastIndexOf('\r') + 1).trimEnd())
    expect(left.filter((line) => line.startsWith(' ✔  '))).toHaveLength(demoSteps + 1)
  })

  it('keeps every line of its steps and its table within a narrow screen', async () => {
    const { exitCode, stdout } = await onTerminal({}, undefined, { columns: 40, devices: 40 })
    expect(exitCode).toBe(0)
    const [story = ''] = stripVTControlCharacters(stdout).split('Look at it yourself')
    const lines = story.split(/[\r\n]/)
    expect(lines.filter((line) => line.length > 40)).toEqual([])
    expect(lines.filter((line) => line.startsWith(' ✔  '))).toHaveLength(demoSteps)
    expect(lines.find((line) => line.startsWith(' STEP'))?.trim()).toMatch(/^STEP +COUNT +RESULT$/)
  })

  it('has no colours under NO_COLOR', async () => {
    const { stdout } = await onTerminal({ NO_COLOR: '1' })
    for (const style of [1, 2, 32, 35]) expect(stdout).not.toContain(`\u001b[${style}m`)
    expect(stdout).toContain('━')
  })

  it('cleans up on ctrl-C, and does not end with 0', async () => {
    let typed = false
    const { exitCode, stdout } = await onTerminal({}, (child, text) => {
      if (typed || !text.includes('exchange keys')) return
      typed = true
      child.stdin?.write('\u0003')
    })
    expect(stdout).toContain('Interrupted')
    expect(exitCode).toBe(130)
    expect((await suite.fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('cleans up when the terminal goes away under it', async () => {
    let isGone = false
    const before = (await suite.fleet()).length
    await onTerminal({}, (child, text) => {
      if (isGone || !text.includes('exchange keys')) return
      isGone = true
      child.kill('SIGKILL')
    })
    await vi.waitFor(
      async () => expect((await suite.fleet()).filter(({ status }) => status !== 'REVOKED')).toEqual([]),
      {
        timeout: 60_000,
        interval: 200,
      },
    )
    expect((await suite.fleet()).length).toBe(before + 41)
  })
})
