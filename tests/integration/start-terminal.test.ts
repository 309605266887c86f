import { spawn } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { copyNodeForOthers, isCheckoutOpenToOthers, NOBODY } from '../support/other-user.ts'
import { makeServiceFolder, removeServiceFolder, spawnService } from '../support/service-process.ts'

const root = join(import.meta.dirname, '..', '..')

let folder: string
beforeEach(async () => {
  folder = await makeServiceFolder()
})
afterEach(() => removeServiceFolder(folder))

/** As somebody types it; Ctrl-C when it says how to stop it. */
async function startOnTerminal(env: Record<string, string> = {}): Promise<{ text: string; exitCode: number | null }> {
  const command = `stty cols 100; exec ${process.execPath} main.ts`
  const base = { PATH: process.env['PATH'] ?? '', TERM: 'xterm', PORT: '0', QFLARE_DATA_DIR: folder }
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: root, env: { ...base, ...env } })
  let text = ''
  let isTyped = false
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more
    if (isTyped || !text.includes('Ctrl-C stops')) return
    isTyped = true
    child.stdin.write('\u0003')
  })
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve)
  })
  return { text, exitCode }
}

describe.skipIf(process.platform !== 'linux')('on a terminal, npm start', { timeout: 120_000 }, () => {
  test('says what a person needs, in words, and ends by Ctrl-C', async () => {
    const { text, exitCode } = await startOnTerminal()
    expect(exitCode).toBe(0)
    const lines = stripVTControlCharacters(text).split('\n')
    expect(lines.find((line) => line.includes('Creating a PostgreSQL'))).toMatch(/^\d\d:\d\d:\d\d {2}Creating/)
    const [, url] = /ready at (http:\S+)/.exec(stripVTControlCharacters(text)) ?? []
    for (const part of [`QFLARE is ready at ${url}`, `${url}/docs`, `${url}/ready`, join(folder, 'admin-token')]) {
      expect(text).toContain(part)
    }
    expect(text).toContain(`export QFLARE_URL=${url} QFLARE_DATA_DIR=${folder}`)
    expect(text).not.toContain('{"level"')
    expect(lines.at(-2)).toMatch(/stopped\r?$/)
  })

  test('has no colours under NO_COLOR', async () => {
    const { text } = await startOnTerminal({ NO_COLOR: '1' })
    expect(text).toContain('QFLARE is ready at')
    expect(text).not.toContain('\u001b[')
  })
})

describe('elsewhere', { timeout: 120_000 }, () => {
  test('each of its lines is JSON, and the first that says ready has the URL', async () => {
    const service = spawnService(folder)
    const url = await service.ready()
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    const lines = service.output.stdout.trimEnd().split('\n')
    const messages = lines.map((line) => (JSON.parse(line) as { msg: string }).msg)
    expect(messages.find((message) => message.includes('ready'))).toBe(`ready at ${url}`)
  })

  test.skipIf(process.getuid?.() !== 0 || !isCheckoutOpenToOthers())(
    'a data folder of somebody else is refused, by whose it is and with what to do',
    async () => {
      await chmod(folder, 0o700)
      const node = await copyNodeForOthers()
      const env = { PATH: process.env['PATH'] ?? '', QFLARE_DATA_DIR: folder, PORT: '0' }
      const child = spawn(node, ['main.ts'], { cwd: root, env, uid: NOBODY, gid: NOBODY })
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
      const exitCode = await new Promise((resolve) => child.on('close', resolve))
      expect(exitCode).toBe(1)
      expect(said).toContain(`The data folder ${folder} belongs to user id 0, and this is user id ${NOBODY}`)
      expect(said).toContain('Start QFLARE as that user, or set QFLARE_DATA_DIR to a folder of your own.')
    },
  )
})
