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

/** Runs the lines of the first block of a section in their order; `replace`: what is in them in capitals. */
async function follow(title: string, replace: (line: string, outputs: string[]) => string): Promise<string[]> {
  const [, section = ''] = readme.split(`## ${title}\n`)
  const lines = (/```\n([^`]*)```/.exec(section)?.[1] ?? '').trimEnd().split('\n')
  expect(lines.length).toBeGreaterThanOrEqual(5)
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') }
  const outputs: string[] = []
  for (const line of lines) {
    const [npx, flag, name, ...args] = replace(line, outputs).split(' ')
    expect([npx, flag, name]).toEqual(['npx', '--no', 'qflare'])
    const run = await runQflare(args, { folder, env })
    expect(run, line).toMatchObject({ exitCode: 0 })
    outputs.push(run.stdout)
  }
  return outputs
}

it('"From nothing to a key" and "A round" are true: each of their lines works, in its order', {
  timeout: 120_000,
}, async () => {
  const before = await follow('From nothing to a key', (line) => line)
  const device = /^device +(\S+)$/m.exec(before.at(-1) ?? '')?.[1] ?? ''
  const outputs = await follow('A round', (line, outputs) => {
    const federation = /\(([0-9a-f-]{36})\) is made/.exec(outputs[3] ?? '')?.[1] ?? 'FEDERATION'
    const replaced = line.replace('FEDERATION', federation).replace('DEVICE', device)
    if (!line.includes('ROOT_KID')) return replaced
    return replaced.replace(
      'ROOT_KID',
      readFileSync(join(folder, 'coordinator.token'), 'utf8').trim().split('.')[2] ?? '',
    )
  })
  const fingerprint = /^fingerprint +(\S+)$/m.exec(outputs[7] ?? '')?.[1] ?? 'none'
  expect(outputs[6]).toContain(fingerprint)
  expect(outputs.at(-1)).toMatch(/^verified +yes$/m)
})
