import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { DeviceState } from '../../client/device-state.ts'
import { createEncodedFileStore, createFileStore } from '../../client/file-store.ts'
import { createSealedCodec, createSealedFileStore } from '../../client/tpm/sealed-file-store.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { deviceStoreContract, newSession, newState } from '../support/device-store-contract.ts'
import { startTestTpm, type TestTpm, whyNoTpm } from '../support/swtpm.ts'

const crypto = await choosePrimitives()

describe('a file that is sealed to a TPM', { skip: whyNoTpm() !== undefined }, () => {
  let tpm: TestTpm
  let folder: string
  let file: string
  beforeAll(async () => {
    tpm = await startTestTpm()
  })
  afterAll(() => tpm.stop())
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-store-'))
    file = join(folder, 'device.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const opened = () => createSealedFileStore(file)
  const made = () => createSealedFileStore(file, { tcti: tpm.tcti })

  it.each(Object.entries(deviceStoreContract))('%s', async (_guarantee, check) => {
    await check(() => createEncodedFileStore(file, createSealedCodec(crypto, { tcti: tpm.tcti })))
  })

  it('holds no secret of the device, and is opened by this TPM in another process too', async () => {
    const chain = crypto.randomBytes(64)
    const session = { ...newSession(chain), accessToken: 'a-token-of-access' }
    await (await made()).save({ ...(await newState()), session })
    const state = (await (await made()).load()) as DeviceState
    const text = readFileSync(file, 'utf8')
    for (const secret of [toBase64url(state.identity.seed), toBase64url(chain), 'a-token-of-access', state.deviceId]) {
      expect(text).not.toContain(secret)
    }
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await (await opened()).load()).toEqual(state)
  })

  it('leaves nothing in the TPM, nor in the folder for temporary files', async () => {
    const temporary = join(folder, 'temporary')
    mkdirSync(temporary)
    vi.stubEnv('TMPDIR', temporary)
    await (await made()).save(await newState())
    await (await opened()).load()
    vi.unstubAllEnvs()
    expect(readdirSync(temporary)).toEqual([])
    for (const kind of ['handles-transient', 'handles-loaded-session', 'handles-saved-session']) {
      expect((await tpm.run('getcap', kind)).trim(), kind).toBe('')
    }
  })

  it('stays closed where a PCR of its policy has changed, says so, and opens again after a boot of before', async () => {
    await (await made()).save(await newState())
    const state = await (await opened()).load()
    await tpm.extendPcr(4, 'of no concern')
    expect(await (await opened()).load()).toEqual(state)
    await tpm.extendPcr(7, 'another boot loader')
    await expect((await opened()).load()).rejects.toMatchObject({
      code: 'state_sealed',
      message: expect.stringMatching(/sealed to other values of the PCRs sha256:0,2,7\. Boot what was booted then/),
    })
    await tpm.reboot()
    expect(await (await opened()).load()).toEqual(state)
  })

  it('is of no use with another TPM', async () => {
    await (await made()).save(await newState())
    const other = await startTestTpm()
    try {
      await expect((await createSealedFileStore(file, { tcti: other.tcti })).load()).rejects.toMatchObject({
        code: 'state_sealed',
        message: expect.stringContaining('by another TPM'),
      })
    } finally {
      await other.stop()
    }
  })

  it('is refused where anything of it was changed, the PCRs that it names included', async () => {
    await (await made()).save(await newState())
    const text = readFileSync(file, 'utf8')
    const { ciphertext, nonce } = JSON.parse(text)
    const other = (of: string) => `${of.startsWith('A') ? 'B' : 'A'}${of.slice(1)}`
    const changes = [
      text.replace(ciphertext, other(ciphertext)),
      text.replace(nonce, other(nonce)),
      text.slice(0, -20),
      text.replace('"version"', '"more": 1, "version"'),
    ]
    for (const changed of changes) {
      writeFileSync(file, changed)
      await expect((await opened()).load(), changed).rejects.toMatchObject({ code: 'state_unusable' })
    }
    writeFileSync(file, text.replace(/"pcrs": \[[^\]]*\]/, '"pcrs": [0]'))
    await expect((await opened()).load()).rejects.toMatchObject({ code: 'state_sealed' })
  })

  it('starts no program that the file names as the way to its TPM, before anything of it is authenticated', async () => {
    await (await made()).save(await newState())
    const mark = join(folder, 'started')
    const text = readFileSync(file, 'utf8')
    for (const tcti of [`cmd:touch ${mark}`, join(folder, 'library.so'), `device:${mark}`, `device:/dev/tpm0,cmd:x`]) {
      writeFileSync(file, text.replace(/"tcti": "[^"]*"/, `"tcti": ${JSON.stringify(tcti)}`))
      await expect((await opened()).load(), tcti).rejects.toMatchObject({
        code: 'state_unusable',
        message: expect.stringContaining('no such place is taken from a file'),
      })
    }
    expect(readdirSync(folder)).toEqual(['device.json'])
  })

  it('is not taken for a state in clear, nor the other way round', async () => {
    await (await made()).save(await newState())
    await expect(createFileStore(file).load()).rejects.toMatchObject({ code: 'state_sealed' })
    rmSync(file)
    await createFileStore(file).save(await newState())
    await expect((await made()).load()).rejects.toMatchObject({ code: 'state_unusable' })
  })

  it('is not prepared, before a token is spent, where there is no TPM', async () => {
    const nowhere = await createSealedFileStore(file, { tcti: `swtpm:path=${join(folder, 'none')}` })
    await expect(nowhere.prepare()).rejects.toMatchObject({
      code: 'tpm_unavailable',
      message: expect.stringMatching(/There is no TPM to be reached \(.*\/none\)/),
    })
  })
})
