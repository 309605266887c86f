import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toPem } from '../../protocol/attestation/x509/pem.ts'
import { psaWish, referenceWish } from '../support/attestation-inputs.ts'
import { derTime } from '../support/der.ts'
import { psaKeyPair } from '../support/psa.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makePath } from '../support/x509.ts'
import { spkiOf } from '../support/x509-signing.ts'

let service: TestService
let folder: string
const inFolder = (name: string) => join(folder, name)

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-anchors-'))
  writeFileSync(inFolder('admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const qflare = (...args: string[]) =>
  runHere(args, { env: { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: inFolder('admin') } })

function write(name: string, content: string | Uint8Array | object): string {
  const isWhole = typeof content === 'string' || content instanceof Uint8Array
  writeFileSync(inFolder(name), isWhole ? content : JSON.stringify(content))
  return inFolder(name)
}
const pemOf = (...certificates: Uint8Array[]) => certificates.map((der) => toPem(der, 'CERTIFICATE')).join('')
const idsOf = ({ stdout }: { stdout: string }): string[] =>
  JSON.parse(stdout).items.map(({ trustAnchor }: { trustAnchor: { id: string } }) => trustAnchor.id)

describe('qflare anchors', () => {
  it('imports a bundle, the same as DER, lists it and removes it', async () => {
    const { root, intermediate } = makePath()
    const file = write('bundle.pem', pemOf(root, intermediate))
    const first = await qflare('anchors', 'import', file)
    expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('2 of 2 are new.') })
    expect(first.stdout).toMatch(/root Test Root is trusted; SHA-256 [0-9a-f]{64}\n/)
    const again = await qflare('anchors', 'import', write('root.der', root))
    expect(again.stdout).toMatch(/root Test Root was trusted before.*\n0 of 1 are new\.$/)
    const list = await qflare('anchors', 'list', '--kind', 'root')
    expect(list.stdout).toMatch(/^ID .*\n[0-9a-f-]{36} +tpm2 +root +yes .* Test Root +[0-9a-f]{64}$/)
    const [id = ''] = idsOf(await qflare('anchors', 'import', file, '--json'))
    for (const _ of [1, 2]) expect((await qflare('anchors', 'remove', id)).stdout).toBe(`${id} is not trusted.`)
    expect((await qflare('anchors', 'list', '--kind', 'root')).stdout).toBe('There are no such trust anchors.')
  })

  it('warns of a certificate that has expired, and trusts it', async () => {
    const { root } = makePath({
      root: { subject: 'Old', issuer: 'Old', notBefore: derTime(0), notAfter: derTime(1000) },
    })
    const run = await qflare('anchors', 'import', write('old.pem', pemOf(root)))
    expect(run).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/^Old has expired \(1970-/) })
  })

  it('imports the key of a PSA device, and of more devices than a request takes', async () => {
    const spki = spkiOf(psaKeyPair())
    const pem = toPem(spki, 'PUBLIC KEY')
    const instanceId = `01${'ab'.repeat(32)}`
    const one = await qflare('anchors', 'import', write('key.pem', pem), '--instance-id', instanceId.toUpperCase())
    expect(one.stdout).toContain(`key ${instanceId} is trusted`)
    const many = Array.from({ length: 501 }, () => psaWish().keys[0] as { instanceId: string; publicKey: string })
    const keys = write('keys.json', [{ instanceId, publicKey: pem }, ...many])
    expect((await qflare('anchors', 'import', keys)).stdout).toMatch(/… and 482 more\n501 of 502 are new\.$/)
    expect((await qflare('anchors', 'import', keys)).stdout).toMatch(/0 of 502 are new\.$/)
  })

  it('knows roots of manufacturers, without a server, and trusts those of one', async () => {
    const vendors = await runHere(['anchors', 'vendors', '--json'], { env: {} })
    const { items } = JSON.parse(vendors.stdout)
    const wanted = items.filter(({ vendor }: { vendor: string }) => vendor === 'stmicroelectronics')
    expect(wanted.length).toBe(2)
    const run = await qflare('anchors', 'import-vendor', 'stmicroelectronics', '--json')
    const added = JSON.parse(run.stdout).items.map((item: { trustAnchor: object }) => item.trustAnchor)
    expect(added).toMatchObject(
      wanted.map(({ sha256, subject }: Record<string, string>) => ({
        kind: 'root',
        fingerprint: sha256,
        name: subject,
      })),
    )
    expect((await qflare('anchors', 'vendors')).stdout).toMatch(/^SHA-256 +VENDOR +FORMATS .*\n[0-9a-f]{64} /)

    for (const [vendor, formats] of [
      ['amd', ['sev-snp', 'sev-snp', 'sev-snp']],
      ['apple', ['apple-app-attest']],
      ['intel', ['tdx']],
      ['google', ['android-key', 'android-key']],
      ['nuvoton', ['tpm2', 'tpm2', 'tpm2']],
    ] as const) {
      // Whoever has such a root says what is genuine of that, and of nothing else.
      const { items: trusted } = JSON.parse((await qflare('anchors', 'import-vendor', vendor, '--json')).stdout)
      expect(trusted.map((item: { trustAnchor: { format: string } }) => item.trustAnchor.format)).toEqual(formats)
    }
  })

  it.each<[number, string, () => string[]]>([
    [4, 'Cannot read', () => ['import', inFolder('missing.pem')]],
    [4, 'holds no certificate', () => ['import', write('empty.pem', 'nothing')]],
    [
      4,
      'PRIVATE KEY',
      () => ['import', write('secret.pem', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----')],
    ],
    [4, 'is no list of keys', () => ['import', write('wrong.json', [{ instanceId: 7 }])]],
    [4, 'is not JSON', () => ['import', write('no.json', '[')]],
    [1, 'An issuer is no authority', () => ['import', write('leaf.pem', pemOf(makePath().leaf))]],
    [2, '--instance-id', () => ['import', 'key.pem', '--instance-id', '02']],
    [2, '--kind is for certificates', () => ['import', 'keys.json', '--kind', 'root']],
    [2, '--name is for one key', () => ['import', 'keys.json', '--name', 'all']],
    [2, 'VENDOR is one of: amd, infineon, nuvoton', () => ['import-vendor', 'nobody']],
    [2, 'ID is the id of', () => ['remove', 'x']],
    [1, 'not_found', () => ['remove', crypto.randomUUID()]],
  ])('ends with %i and says %j', async (exitCode, said, args) => {
    const run = await qflare('anchors', ...args())
    expect(run).toMatchObject({ exitCode, stdout: '' })
    expect(run.stderr).toContain(said)
  })
})

describe('qflare reference', () => {
  it('imports values, lists, shows and removes them', async () => {
    const file = write('release.json', referenceWish('release 7'))
    const first = await qflare('reference', 'import', file)
    const [id = ''] = first.stdout.split(' ')
    expect(first.stdout).toMatch(/^[0-9a-f-]{36} {2}release 7 is added; SHA-256 [0-9a-f]{64}$/)
    expect((await qflare('reference', 'import', file)).stdout).toContain('was there before')
    expect((await qflare('reference', 'list', '--name', 'release 7')).stdout).toContain(id)
    expect((await qflare('reference', 'show', id)).stdout).toMatch(/genuine +yes\n[\s\S]*"pcrs"/)
    expect((await qflare('reference', 'remove', id)).stdout).toBe(`${id} is removed.`)
    expect((await qflare('reference', 'show', id)).stdout).toMatch(/\nremoved +\d{4}-/)
    expect((await qflare('reference', 'list')).stdout).toBe('There are no such reference values.')
  })

  it.each<[number, string, () => string[]]>([
    [4, 'holds no reference values', () => ['import', write('bad.json', { format: 'tpm2' })]],
    [1, 'malformed', () => ['import', write('short.json', referenceWish('short', 'ab'))]],
    [2, 'ID is the id of', () => ['show', 'x']],
    [1, 'not_found', () => ['remove', crypto.randomUUID()]],
  ])('ends with %i and says %j', async (exitCode, said, args) => {
    const run = await qflare('reference', ...args())
    expect(run).toMatchObject({ exitCode, stdout: '' })
    expect(run.stderr).toContain(said)
  })
})
