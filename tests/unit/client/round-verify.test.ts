import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { formatRoundCertificateFile, roundCertificateFile } from '../../../protocol/rounds/round-certificate.ts'
import { idOf, keyOf, makeAuthority, makeCertificate, makeCertificateFile } from '../../support/round-certificate.ts'
import { runHere } from '../../support/run-here.ts'

const crypto = await choosePrimitives()
const authority = makeAuthority(crypto)
const stranger = makeAuthority(crypto, 'stranger')
const folder = mkdtempSync(join(tmpdir(), 'qflare-rounds-'))
const inFolder = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const file = makeCertificateFile(crypto, authority)
const path = inFolder('round-7.json', formatRoundCertificateFile(file))
const vkey = inFolder('audit.vkey', `${authority.auditSigner.vkey}\n`)
const { pin } = authority
const key = inFolder('round.key', keyOf(crypto, 2))
afterAll(() => rmSync(folder, { recursive: true }))

const verify = (...args: string[]) => runHere(['round', 'verify', ...args])

describe('qflare round verify', () => {
  it('has a line for each check, and a table of who was in the round', async () => {
    const { exitCode, stdout, stderr } = await verify(path, '--pin', pin)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    for (const line of [
      /^verified +yes$/m,
      /^participants +3, each once and in order$/m,
      /^trust +1 bundle\(s\), vouched for by root key /m,
      /^signature +by attestation key /m,
      /^event +round\.closed carries the hash of the certificate$/m,
      /^proof +entry 3 of 10 in fleet\.example\/audit$/m,
      /^round +7, CLOSED$/m,
      /^DEVICE +TIER +EPOCH +SESSION +ATTESTATION$/m,
    ]) {
      expect(stdout).toMatch(line)
    }
    expect(stdout.match(/ {2}affirming {2}/g)).toHaveLength(3)
  })

  it.each([
    ['a pin', ['--pin', pin]],
    ['a key', ['--key', authority.auditSigner.vkey]],
    ['a file of keys', ['--key', vkey]],
    ['both', ['--key', vkey, '--pin', pin]],
  ])('verifies under %s, and says so to programs', async (_, flags) => {
    const { exitCode, stdout } = await verify(path, ...flags, '--json')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      verified: true,
      certificate: file.certificate,
      kid: file.signature.kid,
      logged: { index: 3, size: 10 },
      checks: [{ outcome: 'verified' }, ...Array.from({ length: 4 }, () => expect.anything())],
    })
  })

  it('refuses what is not as it was signed with 1, and says which check it was', async () => {
    const certificate = makeCertificate(crypto, { policy: 'development' })
    const changed = inFolder('changed.json', formatRoundCertificateFile({ ...file, certificate }))
    const { exitCode, stdout, stderr } = await verify(changed, '--pin', pin)
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/^verified +NO$/m)
    expect(stdout).toMatch(/^signature +REFUSED: The signature of the round certificate is not valid\.$/m)
    expect(stdout).toMatch(/^event +REFUSED: /m)
    expect(stdout).toMatch(/^proof +entry 3 /m)
    expect(stderr).toContain('does not verify')
    const json = await verify(changed, '--pin', pin, '--json')
    expect(JSON.parse(json.stdout)).toMatchObject({ verified: false })
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'signature_invalid' } })
  })

  it('refuses the certificate of another service, and one without its proof', async () => {
    expect(await verify(path, '--pin', stranger.pin)).toMatchObject({ exitCode: 1 })
    expect(await verify(path, '--key', stranger.auditSigner.vkey)).toMatchObject({ exitCode: 1 })
    const early = inFolder('early.json', formatRoundCertificateFile({ ...file, proof: null }))
    const { exitCode, stderr } = await verify(early, '--pin', pin)
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('There is no proof')])
  })

  it('says whether a key that somebody holds is that of a participant', async () => {
    const ask = (device: string, held = key) => verify(path, '--pin', pin, '--device', device, '--round-key', held)
    expect(await ask(idOf('0001', 2))).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^round key +the key of .* in this round$/m),
    })
    expect(await ask(idOf('0001', 1))).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^round key +REFUSED: The key is not that of /m),
    })
    expect(await ask(idOf('0001', 9))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('is no participant'),
    })
    expect(await ask(idOf('0001', 2), inFolder('short.key', new Uint8Array(63)))).toMatchObject({ exitCode: 4 })
  })

  it('never prints the key', async () => {
    const { stdout, stderr } = await verify(path, '--pin', pin, '--device', idOf('0001', 2), '--round-key', key)
    const secret = Buffer.from(keyOf(crypto, 2))
    for (const encoding of ['hex', 'base64url', 'base64'] as const) {
      expect(stdout + stderr).not.toContain(secret.toString(encoding).slice(0, 20))
    }
  })

  it.each<[string, string]>([
    ['is not there', join(folder, 'none.json')],
    ['is a folder', folder],
    ['is not JSON', inFolder('text.json', 'round 7')],
    ['is other JSON', inFolder('other.json', '{}')],
    [
      'has a state twice',
      inFolder('twice.json', formatRoundCertificateFile(file).replace('"state":', '"state":"FAILED","state":')),
    ],
    ['is not UTF-8', inFolder('latin.json', Buffer.from([0x7b, 0xff, 0x7d]))],
  ])('ends with 4 for a file that %s', async (_, name) => {
    expect(await verify(name, '--pin', pin)).toMatchObject({ exitCode: 4, stdout: '' })
  })

  it.each([
    ['nothing to trust', [path]],
    ['a pin that is none', [path, '--pin', 'x']],
    ['a key file without a device', [path, '--pin', pin, '--round-key', key]],
    ['a device without a key file', [path, '--pin', pin, '--device', idOf('0001', 2)]],
    ['no file', ['--pin', pin]],
  ])('ends with 2 for a command line with %s', async (_, args) => {
    expect(await verify(...args)).toMatchObject({ exitCode: 2, stdout: '' })
  })

  it('shows what a certificate says without letting it steer the terminal', async () => {
    const certificate = makeCertificate(crypto, { policy: 'production\u001b[2J\nverified  yes' })
    const hostile = makeCertificateFile(crypto, authority, certificate)
    expect(z.encode(roundCertificateFile, hostile).certificate.policy).toContain('\u001b')
    const { stdout } = await verify(inFolder('hostile.json', formatRoundCertificateFile(hostile)), '--pin', pin)
    expect(stdout).not.toContain('\u001b')
    expect(stdout.match(/^verified/gm)).toHaveLength(1)
  })
})
