import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTpmAttester, type TpmAttesterOptions } from '../../client/tpm/tpm-attester.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { startTestTpm, type TestTpm, whyNoTpm } from '../support/swtpm.ts'

/** What a TPM is asked for, without a service; tests/integration/client-attestation.test.ts has both. */
describe.skipIf(whyNoTpm() !== undefined)(`the attester of a TPM (${whyNoTpm() ?? 'swtpm'})`, () => {
  let tpm: TestTpm
  let folder: string
  const binding = new Uint8Array(32).fill(7)

  beforeAll(async () => {
    tpm = await startTestTpm()
    folder = mkdtempSync(join(tmpdir(), 'qflare-attester-'))
    await (await open()).credentialRequest?.()
  })
  afterAll(async () => {
    await tpm?.stop()
    rmSync(folder, { recursive: true })
  })

  const open = (more: TpmAttesterOptions = {}) => openTpmAttester({ tcti: tpm.tcti, ...more })

  test('quotes the PCRs that it is told to, in each bank, and remembers no more than settings', async () => {
    const attester = await open({ pcrs: [7, 4], banks: ['sha256', 'sha384'] })
    const { pcrs, ...evidence } = await attester.collect(binding)
    expect(pcrs).toEqual({
      sha256: { '4': '0'.repeat(64), '7': '0'.repeat(64) },
      sha384: { '4': '0'.repeat(96), '7': '0'.repeat(96) },
    })
    expect(Object.keys(evidence).sort()).toEqual(['akPublic', 'format', 'quote', 'signature'])
    const settings = { tcti: tpm.tcti, akHandle: '0x8100f1a0', pcrs: [7, 4], banks: ['sha256', 'sha384'] }
    expect(attester.settings).toEqual(settings)
  })

  test('brings the certificates of authorities that the TPM keeps', async () => {
    await writeFile(join(tpm.folder, 'chain'), tpm.anchors.intermediate)
    const size = String(tpm.anchors.intermediate.length + 3)
    const attributes = 'ppwrite|ppread|ownerread|authread|no_da|platformcreate'
    await tpm.run('nvdefine', '0x1c00100', '-C', 'p', '-s', size, '-a', attributes)
    await tpm.run('nvwrite', '0x1c00100', '-C', 'p', '-i', 'chain')
    const request = await (await open()).credentialRequest?.()
    expect(request).toMatchObject({
      ekCertificate: toBase64url(tpm.ekCertificates.rsa),
      ekChain: [toBase64url(tpm.anchors.intermediate)],
    })
  })

  test('sends the event log that it is told to, and says when there is none to be read', async () => {
    const path = join(folder, 'log')
    await expect((await open({ eventLog: path })).collect(binding)).rejects.toMatchObject({
      code: 'tpm_unavailable',
      message: expect.stringMatching(/^The event log cannot be read \(ENOENT/),
    })
    const log = Buffer.concat([Buffer.alloc(32), Buffer.from('Spec ID Event03 and so on')])
    writeFileSync(path, log)
    expect(await (await open({ eventLog: path })).collect(binding)).toMatchObject({ eventLog: toBase64url(log) })
    writeFileSync(path, '-----BEGIN PRIVATE KEY-----')
    await expect((await open({ eventLog: path })).collect(binding)).rejects.toMatchObject({
      code: 'tpm_unavailable',
      message: expect.stringContaining('is no log in the crypto agile form'),
    })
    writeFileSync(path, new Uint8Array(256 * 1024 + 1))
    await expect((await open({ eventLog: path })).collect(binding)).rejects.toMatchObject({ code: 'tpm_unavailable' })
    expect(await (await open({ eventLog: false })).collect(binding)).not.toHaveProperty('eventLog')
  })

  test('says that the key it attested with is gone, and makes none in its place', async () => {
    const attester = await open({ akHandle: '0x8100f1a1' })
    await expect(attester.collect(binding)).rejects.toMatchObject({
      code: 'tpm_refused',
      message: expect.stringContaining('There is no attestation key at 0x8100f1a1'),
    })
  })

  test.each<[string, TpmAttesterOptions, RegExp]>([
    ['a bank that is switched off', { banks: ['sha384'] }, /no PCRs of bank sha384/],
    ['an EK certificate that it has not', { ekIndex: '0x1c00012' }, /holds no certificate/],
  ])('refuses %s', async (_what, wrong, message) => {
    const other = await startTestTpm({ banks: ['sha256'] })
    try {
      const attester = await openTpmAttester({ tcti: other.tcti, ...wrong })
      const asked = attester.credentialRequest?.().then(() => attester.collect(binding))
      await expect(asked).rejects.toMatchObject({ code: 'tpm_refused', message: expect.stringMatching(message) })
    } finally {
      await other.stop()
    }
  })

  test.each<[string, object]>([
    ['pcrs', { pcrs: [24] }],
    ['pcrs', { pcrs: [1, 1] }],
    ['akHandle', { akHandle: '0x80000000' }],
    ['banks.0', { banks: ['sha1'] }],
    ['', { pcr: [1] }],
  ])('takes no wrong %s: %j', async (field, wrong) => {
    await expect(open(wrong)).rejects.toMatchObject({ code: 'input_invalid', field: expect.stringContaining(field) })
  })
})
