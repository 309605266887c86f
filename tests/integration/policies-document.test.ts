import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** docs/policies.md, as somebody who types what it says. */

let service: TestService
let folder: string
const home = process.cwd()
beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-policies-document-'))
  writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  process.chdir(home)
  await service.close()
  rmSync(folder, { recursive: true })
})

test('the commands and the files of docs/policies.md do what it says', async () => {
  const page = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'policies.md'), 'utf8')
  const files = [...page.matchAll(/^`([a-z]+\.json)`[^\n]*:\n\n```json\n([\s\S]*?)```/gm)]
  const commands = [...page.matchAll(/^```sh\n([\s\S]*?)```/gm)].flatMap(([, lines = '']) => lines.trim().split('\n'))
  const [, printed] = /\n\n```\n([\s\S]*?)\n```/.exec(page) ?? []
  expect(files.map(([, name]) => name)).toEqual(['edge.json', 'evidence.json'])
  expect(commands).toHaveLength(4)
  for (const [, name = '', text = ''] of files) writeFileSync(join(folder, name), text)
  process.chdir(folder)
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') }
  for (const command of commands) {
    const run = await runHere(command.split(' ').slice(1), { env })
    expect(run, command).toMatchObject({ exitCode: 0 })
    if (command.startsWith('qflare policy test')) expect(run.stdout).toBe(printed)
  }
  const { items } = JSON.parse((await runHere(['token', 'list', '--json'], { env })).stdout)
  expect(items).toMatchObject([{ policyId: 'edge', status: 'open' }])
})
