import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toPem } from '../../protocol/attestation/x509/pem.ts'
import { derTime } from '../support/der.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeSevSnp } from '../support/sev-snp/evidence.ts'
import { createTsmKernel } from '../support/tsm/kernel.ts'
import { type SevSnpState, sevSnpMachine, tdxMachine } from '../support/tsm/machines.ts'
import { type MountedReports, mountReports, whyNoMount } from '../support/tsm/mount-reports.ts'

/** docs/attestation.md, as commands of a machine that has only its kernel to ask. */
describe.skipIf(whyNoMount() !== undefined)(`qflare in a confidential machine (${whyNoMount() ?? 'FUSE'})`, () => {
  // Certificates that are valid by the clock of this machine, which the command goes by.
  const valid = { notBefore: derTime(Date.now() - 3_600_000) }
  const state: SevSnpState = { leaf: valid, issuer: valid, root: valid }
  const kernel = createTsmKernel(sevSnpMachine(state))
  let service: TestService
  let mounted: MountedReports
  let folder: string
  let env: Record<string, string>
  const file = (name: string) => join(folder, name)

  const run = (line: string, more: Record<string, string> = {}) =>
    runHere(line.split(' '), { env: { ...env, ...more } })
  async function succeed(line: string, more: Record<string, string> = {}): Promise<string> {
    const found = await run(line, more)
    expect(found, line).toMatchObject({ exitCode: 0, stderr: '' })
    return found.stdout
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-confidential-'))
    mounted = await mountReports(kernel)
    service = await startTestService({ isRealTime: true })
    writeFileSync(file('admin-token'), service.adminToken, { mode: 0o600 })
    env = { QFLARE_URL: service.url, QFLARE_DATA_DIR: folder, QFLARE_TSM_REPORTS: mounted.folder }
    writeFileSync(file('root.pem'), toPem(makeSevSnp(state).certificates.root, 'CERTIFICATE'))
    const rules = { collateral: 'accepted' }
    const policy = { v: 1, evidence: { 'sev-snp': { rules, referenceValues: ['guest'] } }, enroll: ['affirming'] }
    writeFileSync(file('policy.json'), JSON.stringify(policy))
  })
  afterAll(async () => {
    await service?.close()
    await mounted?.unmount()
    rmSync(folder, { recursive: true })
  })

  test('goes from a bare one to admitted', async () => {
    await succeed(`reference measure --confidential --out ${file('guest.json')}`)
    await succeed(`anchors import --format sev-snp ${file('root.pem')}`)
    await succeed(`reference import ${file('guest.json')}`)
    await succeed(`policy create machines ${file('policy.json')}`)
    await succeed(`token create --policy machines --out ${file('token')}`)
    const enrolled = await succeed(`enroll --confidential --name vm-1 --token-file ${file('token')}`)
    expect(enrolled).toMatch(/^attested +affirming, by policy machines@1$/m)
    await succeed('exchange')
    expect(await succeed('attest')).toMatch(/^attested +affirming, by policy machines@1$/m)
    expect(await succeed('status')).toMatch(/^attested +affirming, by policy machines@1$/m)
    expect(kernel.names()).toEqual([])
  })

  test('asks its kernel where it is told to, and never where a state says', async () => {
    expect(readFileSync(file('device.json'), 'utf8')).not.toContain(mounted.folder)
    const found = await run('attest', { QFLARE_TSM_REPORTS: file('none') })
    expect(found).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/\(report_unavailable\)$/) })
  })

  test('takes certificates from files where the host gives none, and spends no token where there are none', async () => {
    await succeed(`token create --policy machines --out ${file('token-2')}`)
    const line = `enroll --confidential --name vm-2 --token-file ${file('token-2')} --state ${file('vm-2.json')}`
    state.host = []
    try {
      const refused = await run(line)
      expect(refused).toMatchObject({
        exitCode: 4,
        stderr: expect.stringContaining('Fetch https://kdsintf.amd.com/vcek/v1/Milan/'),
      })
      const { leaf, issuer } = makeSevSnp(state).certificates
      writeFileSync(file('vcek'), leaf)
      writeFileSync(file('chain'), toPem(issuer, 'CERTIFICATE'))
      await succeed(`${line} --certificates ${file('vcek')} --certificates ${file('chain')}`)
      await succeed(`exchange --state ${file('vm-2.json')}`)
      expect(await succeed(`attest --state ${file('vm-2.json')}`)).toMatch(/^attested +affirming/m)
    } finally {
      delete state.host
    }
  })

  test('is quarantined when it launched something else', async () => {
    state.measurement = Buffer.alloc(48, 0x66)
    const found = await run('attest')
    expect(found.exitCode).toBe(1)
    expect(found.stdout).toMatch(/^attested +contraindicated, by policy \S+; QUARANTINED/m)
    delete state.measurement
    expect(await run('exchange')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('exchange_refused') })
  })

  test('measures a trust domain, too', async () => {
    const domain = await mountReports(createTsmKernel(tdxMachine({})))
    try {
      const measured = JSON.parse(
        await succeed('reference measure --confidential', { QFLARE_TSM_REPORTS: domain.folder }),
      )
      const registers = { mrTd: 'd0', rtmr0: '10', rtmr1: '11', rtmr2: '12' }
      const values = [Object.fromEntries(Object.entries(registers).map(([name, byte]) => [name, byte.repeat(48)]))]
      expect(measured).toEqual({ format: 'tdx', name: 'trust-domain', values })
    } finally {
      await domain.unmount()
    }
  })
})

test.each([
  ['enroll --certificates vcek', '--certificates goes with --confidential.'],
  ['reference measure --confidential --pcrs 0', '--pcrs is of a TPM, not of --confidential.'],
])('says what is wrong with: qflare %s', async (line, message) => {
  const found = await runHere(line.split(' '), { env: { QFLARE_ENROLLMENT_TOKEN: 'token' } })
  expect(found).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) })
})

test('says on another machine that it is none', async () => {
  const env = { QFLARE_ENROLLMENT_TOKEN: 'token', QFLARE_TSM_REPORTS: join(tmpdir(), 'qflare-no-such-folder') }
  for (const line of ['enroll --confidential', 'reference measure --confidential']) {
    const found = await runHere(line.split(' '), { env })
    expect(found).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('no confidential virtual machine') })
  }
})
