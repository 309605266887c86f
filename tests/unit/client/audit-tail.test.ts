import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { qflareMain } from '../../support/command-suite.ts'
import { auditorToken, type FakeLog, refuse, sendJson, startFakeLog } from './fake-log.ts'

const crypto = await choosePrimitives()

let folder: string
let fake: FakeLog
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-tail-'))
  writeFileSync(join(folder, 'token'), auditorToken)
  fake = await startFakeLog(crypto, 600)
})
afterAll(async () => {
  await fake.close()
  rmSync(folder, { recursive: true })
})

interface Following {
  child: ChildProcessWithoutNullStreams
  /** Indexes of the events that it printed. */
  indexes(): number[]
  stderr(): string
}

function follow(...flags: string[]): Following {
  const env = {
    PATH: process.env['PATH'] ?? '',
    QFLARE_URL: fake.url,
    QFLARE_ADMIN_TOKEN_FILE: join(folder, 'token'),
  }
  const args = [qflareMain, 'audit', 'tail', '--follow', '--json', ...flags]
  const child = spawn(process.execPath, args, { cwd: folder, env })
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  return {
    child,
    indexes: () =>
      said.stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { index: number }).index),
    stderr: () => said.stderr,
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 20))
}

describe('qflare audit tail --follow', { timeout: 60_000 }, () => {
  it('prints what is there, then every new event once and in order, through an outage, until Ctrl-C, which is 0', async () => {
    fake.published = 10
    const following = follow('--limit', '2')
    await until(() => following.indexes().length === 2)
    expect(following.indexes()).toEqual([7, 9])

    fake.tamper = () => refuse(503, 'unavailable')
    await until(() => following.stderr() !== '')
    // More than a page.
    fake.published = 400
    fake.tamper = undefined
    await until(() => following.indexes().includes(399))
    fake.published = 403
    await until(() => following.indexes().includes(402))
    const own = Array.from({ length: 396 }, (_, at) => at + 7).filter((index) => index % 3 !== 2)
    expect(following.indexes()).toEqual(own)
    expect(following.stderr()).toMatch(/^qflare: .*Trying again\.\n$/)

    following.child.kill('SIGINT')
    expect(await once(following.child, 'close')).toEqual([0, null])
  })

  it('begins with nothing where nothing is there yet', async () => {
    fake.published = 0
    fake.requests.length = 0
    const following = follow()
    await until(() => fake.requests.filter((line) => line.includes('/events')).length >= 2)
    fake.published = 2
    await until(() => following.indexes().length === 2)
    expect(following.indexes()).toEqual([0, 1])
  })

  it('is not made to ask without a pause by a page with a cursor and nothing in it', async () => {
    fake.requests.length = 0
    fake.tamper = (path) => (path.includes('/events') ? sendJson({ items: [], nextCursor: 'x' }) : undefined)
    onTestFinished(() => void (fake.tamper = undefined))
    follow()
    const asked = () => fake.requests.filter((line) => line.includes('/events')).length
    await until(() => asked() >= 2)
    await new Promise((done) => setTimeout(done, 1000))
    expect(asked()).toBe(2)
  })

  it('ends when nobody reads any more, and at once when the token is refused', async () => {
    fake.published = 10
    const following = follow('--limit', '1')
    await until(() => following.indexes().length === 1)
    following.child.stdout.destroy()
    fake.published = 20
    expect(await once(following.child, 'exit')).toEqual([0, null])

    fake.tamper = () => refuse(401, 'unauthenticated')
    const refused = follow()
    expect(await once(refused.child, 'close')).toEqual([1, null])
    expect(refused.stderr()).toContain('unauthenticated')
  })
})
