import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runQflare } from '../support/command-suite.ts'
import { startTestService, type TestService } from '../support/service.ts'

const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')

let service: TestService
let folder: string

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-readme-'))
  writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

it('"From nothing to a key" is true: each of its lines works, in its order', { timeout: 120_000 }, async () => {
  const [, section = ''] = readme.split('## From nothing to a key\n')
  const lines = (/```\n([^`]*)```/.exec(section)?.[1] ?? '').trimEnd().split('\n')
  expect(lines.length).toBeGreaterThanOrEqual(5)
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') }
  for (const line of lines) {
    const [npx, flag, name, ...args] = line.split(' ')
    expect([npx, flag, name]).toEqual(['npx', '--no', 'qflare'])
    expect(await runQflare(args, { folder, env }), line).toMatchObject({ exitCode: 0 })
  }
})
