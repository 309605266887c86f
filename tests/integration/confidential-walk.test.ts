import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { toPem } from '../../protocol/attestation/x509/pem.ts'
import { qflareMain, runQflare } from '../support/command-suite.ts'
import { derTime } from '../support/der.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeSevSnp, sevSnpCrl } from '../support/sev-snp/evidence.ts'
import { qeIdentityDocument, tcbInfoDocument } from '../support/tdx/collateral.ts'
import { pckCertificate, tcbSigner, tdxAuthority, tdxCrl, tdxRootCertificate } from '../support/tdx/platform.ts'
import { createTsmKernel, type TestMachine } from '../support/tsm/kernel.ts'
import { sevSnpMachine, tdxMachine } from '../support/tsm/machines.ts'
import { mountReports, whyNoMount } from '../support/tsm/mount-reports.ts'

const root = join(import.meta.dirname, '..', '..')
const document = readFileSync(join(root, 'docs', 'attestation.md'), 'utf8')

/** By the clock of this machine, which the service and the command go by here. */
const [before, after] = [Date.now() - 3_600_000, Date.now() + 86_400_000]
const valid = { notBefore: derTime(before) }
const current = { thisUpdate: derTime(before), nextUpdate: derTime(after) }

describe.skipIf(whyNoMount() !== undefined)(`docs/attestation.md, in a machine (${whyNoMount() ?? 'FUSE'})`, () => {
  let service: TestService
  let folder: string
  let env: Record<string, string>

  beforeAll(async () => {
    service = await startTestService({ isRealTime: true })
  })
  afterAll(() => service?.close())
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-confidential-walk-'))
    cpSync(join(root, 'deploy', 'policies'), join(folder, 'deploy', 'policies'), { recursive: true })
    write('admin', service.adminToken)
    env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') }
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (name: string, content: string | Uint8Array) =>
    writeFileSync(join(folder, name), content, { mode: 0o600 })

  /** The lines of a section, in their order; what each printed. `rootCertificate` is trusted beside the vendor's. */
  async function walk(heading: string, machine: TestMachine, rootCertificate: Uint8Array): Promise<string[]> {
    const mounted = await mountReports(createTsmKernel(machine))
    onTestFinished(() => mounted.unmount())
    env['QFLARE_TSM_REPORTS'] = mounted.folder
    write('test-root.pem', toPem(rootCertificate, 'CERTIFICATE'))
    const format = machine.provider === 'sev_guest' ? 'sev-snp' : 'tdx'
    await qflare(['anchors', 'import', '--format', format, 'test-root.pem'])
    const section = document.split(`\n## ${heading}\n`)[1] ?? ''
    const lines = (/```\n([^`]*)```/.exec(section)?.[1] ?? '').trimEnd().split('\n')
    expect(lines).toHaveLength(10)
    const printed: string[] = []
    for (const line of lines) {
      // What it fetches is there already, of this test's own authority.
      if (line.startsWith('curl -fo crl https://kdsintf.amd.com/')) continue
      const [npx, flag, name, ...args] = line.split(' ')
      expect([npx, flag, name], line).toEqual(['npx', '--no', 'qflare'])
      printed.push(args[0] === 'keep-fresh' ? await keepFresh() : await qflare(args))
    }
    return printed
  }

  async function qflare(args: string[]): Promise<string> {
    const run = await runQflare(args, { folder, env })
    expect(run, args.join(' ')).toMatchObject({ exitCode: 0 })
    return run.stdout
  }

  /** Until it has attested. */
  async function keepFresh(): Promise<string> {
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

  test('"From a confidential machine to admitted, with SEV-SNP" is true: ten lines, in their order', async () => {
    const dated = { leaf: valid, issuer: valid, root: valid }
    const made = makeSevSnp(dated)
    write('crl', sevSnpCrl(made, [], current).body)
    const heading = 'From a confidential machine to admitted, with SEV-SNP'
    const printed = await walk(heading, sevSnpMachine(dated), made.certificates.root)
    expect(printed.at(-3)).toMatch(/^attested +affirming, by policy machines@1$/m)
    expect(printed.at(-2)).toMatch(/ session [\s\S]+ attested: affirming, by policy machines@1$/m)
    expect(printed.at(-1)).toMatch(/ vm-1 +device +ACTIVE/)
  })

  test('"From a confidential machine to admitted, with Intel TDX" is true: ten lines, in their order', async () => {
    const authority = tdxRootCertificate(valid)
    const chain = [tcbSigner(valid), authority]
    const toTime = (at: number) => `${new Date(at).toISOString().slice(0, 19)}Z`
    const dates = { issueDate: toTime(before), nextUpdate: toTime(after) }
    write('rootca.crl', tdxCrl('root', current).body)
    write('pckca.crl', tdxCrl('authority', current).body)
    write('tcb.json', tcbInfoDocument(dates).body)
    write('qe.json', qeIdentityDocument(dates).body)
    // As a header of HTTP has it, to the end of its line.
    const header = `${encodeURIComponent(chain.map((der) => toPem(der, 'CERTIFICATE')).join(''))}\r\n`
    for (const name of ['tcb.chain', 'qe.chain']) write(name, header)
    const certificates = [pckCertificate({}, valid), tdxAuthority(valid), authority]
    const heading = 'From a confidential machine to admitted, with Intel TDX'
    const printed = await walk(heading, tdxMachine({ certificates }), authority)
    expect(printed[1]).toMatch(/^FMSPC +50806f000000$/m)
    expect(printed.at(-1)).toMatch(/^attested +affirming, by policy domains@1$/m)
    expect(await keepFresh()).toMatch(/ attested: affirming, by policy domains@1$/m)
  })
})
