import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { examineService } from '../../operations/examine/examine-service.ts'
import { loadConfig } from '../../runtime/config.ts'
import { readVersion } from '../../runtime/release.ts'

/** What a service of another release would answer; undefined: nothing. */
async function examine(answers: Record<string, object | undefined>) {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? '']
    if (answer === undefined) request.socket.destroy()
    else response.end(JSON.stringify(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const findings = await examineService(loadConfig({}), `http://127.0.0.1:${port}`, true)
  return findings.map(({ level, message }) => `${level}: ${message.replace(/http\S+/, 'URL')}`)
}

const ready = { status: 'ready', checks: { database: { ok: true } } }

test('a service of another release is a warning that names both', async () => {
  expect(await examine({ '/ready': ready, '/version': { version: '9.9.9' } })).toEqual([
    'ok: URL is ready: database',
    `warning: it runs QFLARE 9.9.9, and this is ${readVersion()}`,
  ])
})

test('one of this release is well', async () => {
  const found = await examine({ '/ready': ready, '/version': { version: readVersion() } })
  expect(found).toContainEqual(`ok: it runs QFLARE ${readVersion()}, as this is`)
})

test('one that tells no version is examined all the same, with the part that is not well', async () => {
  const checks = { queues: { ok: true }, clock: { ok: false, detail: 'The clock is 9000 ms off.' } }
  expect(await examine({ '/ready': { status: 'not_ready', checks }, '/version': undefined })).toEqual([
    'problem: clock: The clock is 9000 ms off.',
    'unseen: URL does not say its version',
  ])
})
