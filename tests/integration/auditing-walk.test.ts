import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { call, createToken } from '../support/api.ts'
import { type CommandRun, runQflare } from '../support/command-suite.ts'
import { askKeys, enterService, makeFederation, openAnswer, openRound } from '../support/rounds.ts'
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
  const [device, other] = [await enterService(service), await enterService(service)]
  const coordinator = await enterService(service, 'coordinator')
  const federation = await makeFederation(service, coordinator, [device, other])
  const round = await openRound(service, coordinator, federation, { round: 7, minParticipants: 2 })
  const given = openAnswer(coordinator, federation, round, await askKeys(service, coordinator, round))
  const key = given.keys.find(({ deviceId }) => deviceId === device.deviceId)?.key as Uint8Array
  writeFileSync(join(folder, 'round.key'), key)
  await call(service, 'POST', `${round.path}/close`, { token: coordinator.accessToken, body: {} })
  await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, { token: service.adminToken, body: {} })
  const { pin } = await createToken(service)
  await service.log.sequence()
  const day = new Date(service.time.now).toISOString().slice(0, 10)
  names = { DEVICE: device.deviceId, FEDERATION: federation.id, ROOT_KID: pin, '2026-11-22': day }
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

/** The lines of commands of a section, the first block of which may say what to export. */
function blocksOf(title: string): string[][] {
  const section = document.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? ''
  return [...section.matchAll(/```\n([^`]*)```/g)].map(([, text = '']) => text.trimEnd().split('\n'))
}

it('"From a doubt to a proof" is true: five commands, and the files verify when the service is gone', {
  timeout: 120_000,
}, async () => {
  const [exported, lines = []] = blocksOf('From a doubt to a proof')
  expect(exported).toEqual(['export QFLARE_URL=https://trust.example QFLARE_ADMIN_TOKEN_FILE=auditor.token'])
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: 'auditor.token' }
  expect(lines).toHaveLength(5)
  const outputs: string[] = []
  for (const line of lines) outputs.push((await run(line, env)).stdout)
  const [, , certified = '', events = '', history = ''] = outputs
  expect(certified).toMatch(/^verified +yes$/m)
  expect(certified).toMatch(/^round +7, CLOSED$/m)
  expect(certified).toMatch(new RegExp(`^${names['DEVICE']}  none `, 'm'))
  // The newest first: revoked after the keys were agreed on.
  expect(events).toMatch(/ device\.revoked [\s\S]* session\.established /)
  expect(history).toMatch(/^verified +yes$/m)

  const [, eventId = 'none'] = /^(\S{36}) .* session\.established /m.exec(events) ?? []
  names['EVENT'] = eventId
  const [proving = []] = blocksOf('The proof of any event')
  expect(proving).toHaveLength(2)
  for (const line of proving) outputs.push((await run(line, env)).stdout)
  expect(outputs.at(-1)).toMatch(new RegExp(`^event +${eventId}$`, 'm'))

  await service.close()
  const offline = [...lines, ...proving].filter((line) => / (audit|round) verify /.test(line))
  expect(offline).toHaveLength(2)
  const [, inText = ''] = /`(qflare audit verify history\.jsonl --key audit\.vkey)`/.exec(document) ?? []
  const [, ofKey = ''] = /`(--device DEVICE --round-key )FILE`/.exec(document) ?? []
  const withKey = `qflare round verify round-7.json --key audit.vkey ${ofKey}round.key`
  for (const line of [...offline, inText, withKey]) {
    expect((await run(line, {})).stdout).toMatch(/^verified +yes$/m)
  }
})
