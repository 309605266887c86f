import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createToken } from '../support/api.ts'
import { qflareMain } from '../support/command-suite.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { startTestTpm, type TestTpm, whyNoTpm } from '../support/swtpm.ts'
import { preparePolicy } from '../support/tpm-fleet.ts'

describe.skipIf(whyNoTpm() !== undefined)(`qflare with a TPM (${whyNoTpm() ?? 'swtpm'})`, () => {
  let service: TestService
  let tpm: TestTpm
  let folder: string
  let env: Record<string, string>
  let policyId: string

  const run = (line: string, more: Record<string, string> = {}) =>
    runHere(line.split(' '), { env: { ...env, ...more } })
  async function succeed(line: string, more: Record<string, string> = {}): Promise<string> {
    const found = await run(line, more)
    expect(found, line).toMatchObject({ exitCode: 0, stderr: '' })
    return found.stdout
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-tpm-commands-'))
    tpm = await startTestTpm()
    service = await startTestService({ isRealTime: true })
    env = { QFLARE_URL: service.url, QFLARE_DATA_DIR: folder, TPM2TOOLS_TCTI: tpm.tcti }
    const boot = join(folder, 'boot.json')
    await succeed(`reference measure --pcrs 0,2,4,7 --out ${boot}`)
    const { format, name, values } = JSON.parse(readFileSync(boot, 'utf8'))
    expect({ format, name }).toEqual({ format: 'tpm2', name: 'boot' })
    const ca = { certificates: async () => tpm.anchors }
    policyId = await preparePolicy(service, { ca, values })
  })
  afterAll(async () => {
    await service?.close()
    await tpm?.stop()
    rmSync(folder, { recursive: true })
  })

  test('enrols, says with what, and seals the state', async () => {
    const { token } = await createToken(service, { policyId })
    const enrolled = await succeed('enroll --tpm --seal --ak-type ecc --pcrs 0,2,4,7 --name edge-1', {
      QFLARE_ENROLLMENT_TOKEN: token,
    })
    expect(enrolled).toMatch(new RegExp(`^attested +affirming, by policy ${policyId}$`, 'm'))
    expect(enrolled).toMatch(/^state +\S+, sealed to the TPM$/m)
    expect(readFileSync(join(folder, 'device.json'), 'utf8')).not.toContain('seed')
  })

  test('attests in a session, and shows how old that is and when it is due again', async () => {
    await succeed('exchange')
    expect(await succeed('status')).toMatch(/^attested +affirming, by policy \S+; not in this session$/m)
    const said = await succeed('attest')
    expect(said).toMatch(/^attested +affirming, by policy edge-tpm@1$/m)
    expect(said).toMatch(/^attest again +\S+ \(in 5 min\)$/m)
    const { device } = JSON.parse(await succeed('status --json'))
    expect(device.attestation).toMatchObject({
      status: 'ACTIVE',
      tier: 'affirming',
      sessionId: device.session.sessionId,
    })
  })

  test('keeps the device fresh and attested until it is stopped, which is no error', async () => {
    // A session that nobody has attested in.
    await succeed('exchange')
    // The TPM is remembered with the device.
    const env = { PATH: process.env['PATH'] ?? '' }
    const args = [qflareMain, 'keep-fresh', '--json', '--state', join(folder, 'device.json')]
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    for await (const line of createInterface(child.stdout)) {
      expect(JSON.parse(line)).toMatchObject({ event: 'attestation', tier: 'affirming', policyId: 'edge-tpm@1' })
      break
    }
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  })

  test('cannot be anything after another boot, but what was unsealed before', async () => {
    await succeed('unseal')
    expect(readFileSync(join(folder, 'device.json'), 'utf8')).toContain('seed')
    await succeed('seal --seal-pcrs 0,4')
    await tpm.extendPcr(4, 'another boot loader')
    const closed = await run('status')
    expect(closed).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/sealed to other values.*\(state_sealed\)$/),
    })
    await tpm.reboot()
    await succeed('unseal')
    await tpm.extendPcr(4, 'another boot loader')
    const found = await run('attest')
    expect(found.exitCode).toBe(1)
    expect(found.stdout).toMatch(
      /^attested +contraindicated, by policy \S+; QUARANTINED: an operator has to clear it$/m,
    )
    const shown = await succeed('status')
    expect(shown).toMatch(/QUARANTINED: an operator has to clear it/)
    expect(shown).toMatch(/^session +none/m)
    expect(await run('exchange')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('exchange_refused') })
  })

  test.each([
    ['enroll --pcrs 0,1', '--pcrs goes with --tpm.'],
    ['enroll --seal-pcrs 0', '--seal-pcrs goes with --seal.'],
    ['enroll --tcti device:/dev/tpm0', '--tcti goes with --tpm or --seal.'],
    ['enroll --tpm --pcrs 24', '--pcrs is indices of PCRs from 0 to 23, between commas.'],
    ['enroll --tpm --pcr-banks sha1', '--pcr-banks is of sha256, sha384.'],
    ['enroll --tpm --ak-handle 0x80000001', '--ak-handle is a persistent handle from 0x81000000 to 0x817fffff.'],
  ])('says what is wrong with: qflare %s', async (line, message) => {
    const found = await run(line, { QFLARE_ENROLLMENT_TOKEN: 'token' })
    expect(found).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) })
  })

  test('spends no token where there is no TPM', async () => {
    const { token } = await createToken(service, { policyId })
    const nowhere = { QFLARE_ENROLLMENT_TOKEN: token, TPM2TOOLS_TCTI: `swtpm:path=${join(folder, 'none')}` }
    for (const flag of ['--tpm', '--seal']) {
      const found = await run(`enroll ${flag} --state ${join(folder, 'other.json')}`, nowhere)
      expect(found).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('tpm_unavailable') })
    }
    writeFileSync(join(folder, 'token'), token)
    const refused = await run(`enroll --token-file ${join(folder, 'token')} --state ${join(folder, 'other.json')}`)
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/wants evidence of tpm2.*--tpm/) })
  })
})
