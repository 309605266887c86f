import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { findOlderProcesses, isOlder, listAddresses } from '../../operations/older-processes.ts'
import { readVersion } from '../../runtime/release.ts'
import { qflareMain } from '../support/command-suite.ts'
import { startTestService } from '../support/service.ts'

const WITHIN = { timeout: 20_000, interval: 50 }

/** `qflare release wait`, until it ends or is told to. */
function wait(...args: string[]) {
  const child = spawn(process.execPath, [qflareMain, 'release', 'wait', ...args], { env: { PATH: '' } })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  }
  const ended = once(child, 'close').then(([code]) => code as number)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, output, ended }
}

/** What stands at an operator port of some release, or of something else. */
async function answering(body: unknown, { host, port }: { host: string; port: number }): Promise<number> {
  const server = createServer((_, response) => response.end(typeof body === 'string' ? body : JSON.stringify(body)))
  server.listen(port, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe('qflare release wait', () => {
  test('waits for a process of an older release, says for whom, and no longer than it is there', async () => {
    // Its version is 0.0.0-test.
    const service = await startTestService({ hasOperatorPort: true })
    const { output, ended } = wait(service.operatorUrl as string)
    await vi.waitFor(() => expect(output.stderr).not.toBe(''), WITHIN)
    expect(output).toEqual({
      stdout: '',
      stderr: `Waits for 127.0.0.1 (0.0.0-test) to be replaced by ${readVersion()}.\n`,
    })
    await service.close()
    expect(await ended).toBe(0)
    expect(output.stdout).toBe(`Nobody at ${service.operatorUrl} is of a release before ${readVersion()}.\n`)
  })

  test('ends when it is told to while it waits', async () => {
    const port = await answering({ version: '0.0.1' }, { host: '127.0.0.1', port: 0 })
    const { child, output, ended } = wait(`http://127.0.0.1:${port}`)
    await vi.waitFor(() => expect(output.stderr).toContain('127.0.0.1 (0.0.1)'), WITHIN)
    child.kill('SIGTERM')
    expect(await ended).toBe(1)
    expect(output.stderr).toContain('(interrupted)')
  })

  test.each(['https://worker:9464', 'worker:9464', 'http://worker:9464/version', ''])(
    'takes no other address than that of an operator port: %s',
    async (address) => {
      const { output, ended } = wait(address)
      expect(await ended).toBe(2)
      expect(output.stderr).toContain('http://NAME:PORT')
    },
  )
})

describe('of the processes behind a name', () => {
  test('only those that answer, and are older, are waited for', async () => {
    const version = '1.2.3'
    const port = await answering({ version: '1.2.2', name: 'qflare' }, { host: '127.0.0.2', port: 0 })
    await answering({ version }, { host: '127.0.0.3', port })
    await answering({ version: '1.10.0' }, { host: '127.0.0.4', port })
    await answering('<h1>another program</h1>', { host: '127.0.0.5', port })
    const addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6']
    const found = await findOlderProcesses(addresses, { port: String(port), version })
    expect(found).toEqual([{ address: '127.0.0.2', version: '1.2.2' }])
  })

  test('there are none where nobody has the name', async () => {
    expect(await listAddresses('nobody.invalid')).toEqual([])
    expect(await listAddresses('127.0.0.1')).toEqual(['127.0.0.1'])
  })
})

test.each([
  ['0.1.0', '0.2.0', true],
  ['0.9.0', '0.10.0', true],
  ['1.0.0-rc.1', '1.0.0', true],
  ['1.0.0', '1.0.0', false],
  ['1.0.0', '1.0.0-rc.1', false],
  ['1.0.1', '1.0.0', false],
  ['2.0.0', '1.9.9', false],
  ['nonsense', '0.0.1', true],
])('%s is older than %s: %s', (one, other, expected) => {
  expect(isOlder(one, other)).toBe(expected)
})
