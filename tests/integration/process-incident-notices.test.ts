import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { verifyIncidentNotice } from '../../client/verify-incident-notice.ts'
import { call } from '../support/api.ts'
import { makeSecret, startReceiver } from '../support/notice-receiver.ts'
import { makeServiceFolder, readAdminToken, removeServiceFolder, spawnService } from '../support/service-process.ts'
import { makeServerCredential, makeTlsFolder } from '../support/tls-files.ts'

let folder: string
beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

const within = { timeout: 30_000, interval: 50 }
/** What an auditor may not do: each is an event of its own. */
const forbidden = ['api-tokens', 'enrollment-tokens', 'trust-anchors', 'reference-values', 'policies'].map(
  (name) => `/v1/${name}`,
)

test('a service tells its receiver of an incident as its settings say, also after it was killed before it could', async () => {
  const tls = makeServerCredential()
  const receiver = await startReceiver({ tls })
  receiver.answerWith((response) => void response.writeHead(503).end())
  const { text } = makeSecret()
  const secretFile = join(folder, 'webhook-secret')
  await writeFile(secretFile, `${text}\n`)
  await chmod(secretFile, 0o600)
  const settings = {
    QFLARE_INCIDENT_WEBHOOK_URL: receiver.url,
    QFLARE_INCIDENT_WEBHOOK_SECRET_FILE: secretFile,
    NODE_EXTRA_CA_CERTS: (await makeTlsFolder(tls)).caFile,
  }
  const first = spawnService(folder, settings)
  const url = await first.ready()
  const admin = { token: await readAdminToken(folder) }
  const made = await call({ url }, 'POST', '/v1/api-tokens', {
    ...admin,
    body: { name: 'curious', roles: ['auditor'] },
  })
  for (const path of forbidden) {
    expect((await call({ url }, 'POST', path, { token: made.body.token, body: {} })).status, path).toBe(403)
  }
  const run = (at: string, job: string) => call({ url: at }, 'POST', `/v1/jobs/${job}/run`, { ...admin, body: {} })
  await vi.waitFor(async () => {
    await run(url, 'monitor-events')
    await run(url, 'send-incident-notices')
    expect(receiver.received).not.toEqual([])
  }, within)
  await first.said(/"the receiver of notices was not told[^"]*it answered 503"/)
  first.kill('SIGKILL')
  await first.ended()
  const before = receiver.received.length
  receiver.answerWith((response) => void response.writeHead(204).end())
  const second = spawnService(folder, settings)
  const later = await second.ready()
  await vi.waitFor(async () => {
    await run(later, 'send-incident-notices')
    expect(receiver.received).toHaveLength(before + 1)
  }, within)
  expect(new Set(receiver.ids()).size).toBe(1)
  const [request] = receiver.received.slice(before)
  const notice = await verifyIncidentNotice(text, request?.headers ?? {}, request?.body ?? '', Date.now())
  expect(notice).toMatchObject({ type: 'incident.opened', data: { rule: 'access-refused', count: 5 } })
  await vi.waitFor(async () => {
    const metrics = (await call({ url: later }, 'GET', '/metrics')).body
    expect(metrics).toContain('qflare_incident_notices_total{result="delivered"} 1')
  }, within)
  second.kill('SIGTERM')
  expect(await second.ended()).toBe(0)
  for (const { output } of [first, second]) {
    expect(`${output.stdout}${output.stderr}`).not.toContain(receiver.url)
    expect(`${output.stdout}${output.stderr}`).not.toContain(text.slice(6))
  }
})
