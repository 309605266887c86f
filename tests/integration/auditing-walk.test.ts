import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { call, createToken, enrollTestDevice, establish } from '../support/api.ts'
import { type CommandRun, runQflare } from '../support/command-suite.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'

const document = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'auditing.md'), 'utf8')

let service: TestService
let folder: string
/** What the document writes in capitals, and its date. */
let names: Record<string, string>

beforeAll(async () => {
  service = await startTestService()
  folder = mkdtempSync(join(tmpdir(), 'qflare-auditing-'))
  const { token } = await makeApiToken(service, ['auditor'])
  writeFileSync(join(folder, 'auditor.token'), token, { mode: 0o600 })
  const [device, other] = [await enrollTestDevice(service), await enrollTestDevice(service)]
  for (const one of [device, other]) await establish(service, one)
  await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, { token: service.adminToken, body: {} })
  const { pin } = await createToken(service)
  await service.log.sequence()
  const day = new Date(service.time.now).toISOString().slice(0, 10)
  names = { DEVICE: device.deviceId, ROOT_KID: pin, '2026-11-22': day }
})
afterAll(() => rmSync(folder, { recursive: true }))

/** As an auditor types it; `env`: what the document exports first. */
async function run(line: string, env: Record<string, string>): Promise<CommandRun> {
  const typed = Object.entries(names).reduce((text, [name, value]) => text.replaceAll(name, value), line)
  const args = typed.replace(/^npx --no /, '').split(' ')
  expect(args.shift(), line).toBe('qflare')
  const found = await runQflare(args, { folder, env })
  expect(found, typed).toMatchObject({ exitCode: 0, stderr: '' })
  return found
}

it('"From a doubt to a proof" is true: five commands, and the files verify when the service is gone', {
  timeout: 120_000,
}, async () => {
  const [, section = ''] = document.split('## From a doubt to a proof\n')
  const [exported = '', block = ''] = [...section.matchAll(/```\n([^`]*)```/g)].map(([, text = '']) => text)
  expect(exported).toBe('export QFLARE_URL=https://trust.example QFLARE_ADMIN_TOKEN_FILE=auditor.token\n')
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: 'auditor.token' }
  const lines = block.trimEnd().split('\n')
  expect(lines).toHaveLength(5)

  const outputs: string[] = []
  for (const line of lines) {
    outputs.push((await run(line, env)).stdout)
    const [, eventId] = /^(\S{36}) .* session\.established /m.exec(outputs[0] ?? '') ?? []
    names['EVENT'] = eventId ?? 'none'
  }
  const [found = '', , , verified = '', history = ''] = outputs
  // The newest first: revoked after the keys were agreed on.
  expect(found).toMatch(/ device\.revoked [\s\S]* session\.established /)
  expect(verified).toMatch(new RegExp(`^event +${names['EVENT']}$`, 'm'))
  expect(verified).toMatch(/^type +session\.established$/m)
  expect(history).toMatch(/^verified +yes$/m)

  await service.close()
  const offline = lines.filter((line) => line.includes(' audit verify '))
  const [, inText = ''] = /`(qflare audit verify history\.jsonl --key audit\.vkey)`/.exec(section) ?? []
  for (const line of [...offline, inText]) {
    expect((await run(line, {})).stdout).toMatch(/^verified +yes$/m)
  }
})
