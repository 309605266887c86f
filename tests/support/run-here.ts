import { vi } from 'vitest'
import type { Entry } from '../../client/command/entry.ts'
import { runCommandLine } from '../../client/command/run.ts'

/**
 * `qflare` in this process, which takes a tenth of the time of one of its own. One at a time: it captures stdout and the
 * console, and sets `env` for the while.
 */
export async function runHere(
  args: readonly string[],
  options: { env?: Record<string, string>; extra?: readonly Entry[] } = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const lines = { stdout: [] as string[], stderr: [] as unknown[] }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text, ...rest) => {
      lines.stdout.push(String(text))
      const done = rest.at(-1)
      if (typeof done === 'function') done()
      return true
    }),
    vi.spyOn(console, 'error').mockImplementation((line) => void lines.stderr.push(line)),
  ]
  for (const [name, value] of Object.entries(options.env ?? {})) vi.stubEnv(name, value)
  try {
    const exitCode = await runCommandLine([...args], options.extra)
    return { exitCode, stdout: lines.stdout.join('').replace(/\n$/, ''), stderr: lines.stderr.join('\n') }
  } finally {
    vi.unstubAllEnvs()
    for (const spy of spies) spy.mockRestore()
  }
}
