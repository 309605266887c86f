import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { qflareMain, runQflare } from '../support/command-suite.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { startTestTpm, type TestTpm, whyNoTpm } from '../support/swtpm.ts'

const root = join(import.meta.dirname, '..', '..')
const document = readFileSync(join(root, 'docs', 'attestation.md'), 'utf8')

describe.skipIf(whyNoTpm() !== undefined)(`docs/attestation.md (${whyNoTpm() ?? 'swtpm'})`, () => {
  let service: TestService
  let tpm: TestTpm
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-attestation-'))
    tpm = await startTestTpm()
    service = await startTestService({ isRealTime: true })
    writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
    const { root: authority, intermediate } = tpm.anchors
    const pem = [authority, intermediate].map((der) => new X509Certificate(der).toString()).join('')
    writeFileSync(join(folder, 'tpm-ca.pem'), pem)
    cpSync(join(root, 'deploy', 'policies'), join(folder, 'deploy', 'policies'), { recursive: true })
  })
  afterAll(async () => {
    await service?.close()
    await tpm?.stop()
    rmSync(folder, { recursive: true })
  })

  test('"From a bare device to admitted, with a TPM" is true: ten lines, each of which works, in their order', {
    timeout: 120_000,
  }, async () => {
    const section = document.split('\n## From a bare device to admitted, with a TPM\n')[1] ?? ''
    const lines = (/```\n([^`]*)```/.exec(section)?.[1] ?? '').trimEnd().split('\n')
    expect(lines).toHaveLength(10)
    const [installing, ...typed] = lines
    expect(installing).toContain('apt-get install tpm2-tools')
    const env = {
      QFLARE_URL: service.url,
      QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin'),
      TPM2TOOLS_TCTI: tpm.tcti,
    }
    const outputs: Record<string, string> = {}
    for (const line of typed) {
      const [npx, flag, name, ...args] = line.split(' ')
      expect([npx, flag, name], line).toEqual(['npx', '--no', 'qflare'])
      if (args[0] === 'keep-fresh') {
        outputs[line] = await keepFresh(env)
        continue
      }
      const run = await runQflare(args, { folder, env })
      expect(run, line).toMatchObject({ exitCode: 0 })
      outputs[args.slice(0, 2).join(' ')] = run.stdout
    }
    expect(outputs['enroll --tpm']).toMatch(/^attested +affirming, by policy edge@1$/m)
    expect(outputs['npx --no qflare keep-fresh']).toMatch(/ session [\s\S]+ attested: affirming, by policy edge@1$/m)
    expect(outputs['status']).toMatch(/^attested +affirming, by policy edge@1$/m)
    expect(outputs['device list']).toMatch(/ edge-1 +device +ACTIVE/)
  })

  /** Until it has attested; what it says until then. */
  async function keepFresh(env: Record<string, string>): Promise<string> {
    const child = spawn(process.execPath, [qflareMain, 'keep-fresh'], {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    const said: string[] = []
    for await (const line of createInterface(child.stdout)) {
      said.push(line)
      if (line.includes('attested')) break
    }
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    return said.join('\n')
  }
})
