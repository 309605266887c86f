import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { Attester } from '../../client/attester.ts'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { toPem } from '../../protocol/attestation/x509/pem.ts'
import type { Json } from '../../protocol/encoding.ts'
import { call, createToken } from '../support/api.ts'
import { addAnchor, authoritiesWish, psaWish } from '../support/attestation-inputs.ts'
import { epochTime, makeCorim, members, signCorim } from '../support/corim/corim.ts'
import { psaReference, sevSnpClaim, sevSnpReference, tdxReference } from '../support/corim/references.ts'
import { createPolicy } from '../support/policies.ts'
import { makeToken, psaComponent, psaEvidence, psaInstanceId, psaKeyPair, psaRelease } from '../support/psa.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeSevSnp } from '../support/sev-snp/evidence.ts'
import { reportFields } from '../support/sev-snp/report.ts'
import { tdxRootCertificate } from '../support/tdx/platform.ts'
import { makeQuote, tdxEvidence, tdxTrustDomain } from '../support/tdx/quote.ts'
import { passTime } from '../support/tpm-fleet.ts'
import { makePath } from '../support/x509.ts'
import { spkiOf } from '../support/x509-signing.ts'

let service: TestService
let folder: string
const inFolder = (name: string) => join(folder, name)

beforeAll(async () => {
  service = await startTestService()
  folder = mkdtempSync(join(tmpdir(), 'qflare-corim-'))
  writeFileSync(inFolder('admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(inFolder(name), content)
  return inFolder(name)
}

const qflare = (...args: string[]) =>
  runHere(args, { env: { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: inFolder('admin') } })
const importFile = (name: string, content: string | Uint8Array, ...flags: string[]) =>
  qflare('reference', 'import', write(name, content), ...flags)
const storedAs = async (name: string) => {
  const { body } = await call(service, 'GET', `/v1/reference-values?name=${name}`, { token: service.adminToken })
  return body.items.map(({ value }: { value: Json }) => value)
}
const release = makeCorim({ references: [psaReference()] })
const vendorKey = () => write('vendor.pem', toPem(spkiOf(psaKeyPair()), 'PUBLIC KEY'))

const twoKeys = () => toPem(spkiOf(psaKeyPair()), 'PUBLIC KEY').repeat(2)

/** What a device measured of itself, which its evidence says with the binding in it. */
type State = { measured: number }

const formats: {
  format: string
  corim: Uint8Array
  rules: Json
  anchor: () => object
  collect: (binding: Uint8Array, state: State) => Record<string, Json>
  measured: number
  check: string
}[] = [
  {
    format: 'psa',
    corim: release,
    rules: { unlisted: 'contraindicated' },
    anchor: () => psaWish(psaInstanceId.toString('hex')),
    collect: (nonce, { measured }) =>
      psaEvidence(
        makeToken({ claims: { nonce, components: [psaComponent({ measurement: Buffer.alloc(32, measured) })] } }),
      ),
    measured: 0x3e,
    check: 'psa.component',
  },
  {
    format: 'sev-snp',
    corim: makeCorim({ profile: 'sev-snp', references: [sevSnpReference()] }),
    rules: { collateral: 'accepted' },
    anchor: () => ({ ...authoritiesWish(makeSevSnp().certificates.root), format: 'sev-snp' }),
    collect(binding, { measured }) {
      const change = (report: Buffer) => {
        report.set(binding, reportFields.reportData)
        report.fill(measured, reportFields.measurement, reportFields.measurement + 48)
      }
      return makeSevSnp({ change }).evidence
    },
    measured: 0x3e,
    check: 'sev-snp.measurement',
  },
  {
    format: 'tdx',
    corim: makeCorim({ profile: 'tdx', references: [tdxReference()] }),
    rules: { collateral: 'accepted' },
    anchor: () => ({ ...authoritiesWish(tdxRootCertificate()), format: 'tdx' }),
    collect: (binding, { measured }) =>
      tdxEvidence(
        makeQuote({
          td: { reportData: Buffer.concat([binding, Buffer.alloc(32)]), rtmr2: Buffer.alloc(48, measured) },
        }),
      ),
    measured: 0x12,
    check: 'tdx.registers',
  },
]

test.each(formats)(
  'what a CoRIM has of $format is affirming, and what it has not is found and quarantined',
  async ({ format, corim, rules, anchor, collect, measured, check }) => {
    await addAnchor(service, anchor())
    const run = await importFile(`${format}.cbor`, corim, '--name', `values of ${format}`)
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`values of ${format} is added`) })
    const evidence = { [format]: { rules, referenceValues: [`values of ${format}`] } }
    const { id: policyId } = await createPolicy(service, format, { evidence, enroll: ['affirming'] })
    const state: State = { measured }
    const attesters: Attester[] = [{ format, collect: async (binding) => collect(Buffer.from(binding), state) }]
    const store = createMemoryStore()
    const now = () => service.time.now
    const { token } = await createToken(service, { policyId })
    await enrollDevice({ url: service.url, token, name: format, store, now, attesters })
    const device = await openDevice({ store, now, monotonicNow: now, wait: passTime(service), attesters })
    await device.exchange()
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
    state.measured = 0x99
    const { status, attestation } = await device.attest()
    expect({ status, tier: attestation.tier }).toEqual({ status: 'QUARANTINED', tier: 'contraindicated' })
    const { body } = await call(service, 'GET', `/v1/attestations/${attestation.id}/evidence`, {
      token: service.adminToken,
    })
    const bad = body.result.findings[format].filter(({ value }: { value: number }) => value >= 96)
    expect(bad.map((finding: { check: string }) => finding.check)).toEqual([check])
  },
)

describe('qflare reference import of a CoRIM', () => {
  it('shows what would be added, and asks no server', async () => {
    const file = write('preview.cbor', makeCorim({ references: [psaReference({ class: { 1: 'Acme' } })] }))
    const run = await runHere(['reference', 'import', file, '--dry-run'], { env: { QFLARE_URL: 'http://127.0.0.1:1' } })
    expect(run).toMatchObject({ exitCode: 0, stderr: '' })
    expect(run.stdout).toMatch(
      /^CoRIM {4}a release\nprofile {2}tag:arm\.com,2025:psa#1\.0\.0\nsigned {3}by nobody\ngood {5}without an end\n/,
    )
    expect(run.stdout).toContain('not taken: tags[].triples.reference-triples[].ref-env.class.vendor: for people\n')
    expect(run.stdout).toMatch(new RegExp(`\n1 +components\\.1\\.measurement +${'4e'.repeat(32)}\n`))
    expect(run.stdout).toMatch(/\n1 value of psa would be added as firmware\.$/)
    const { stdout } = await runHere(['reference', 'import', file, '--dry-run', '--json'], { env: {} })
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'psa',
      name: 'firmware',
      values: [psaRelease],
      corim: { id: 'a release', signerName: null, isVerified: false, signerKey: null, notAfterAt: null },
    })
  })

  it('names values as the starter policies do, and the same again changes nothing', async () => {
    const tdx = makeCorim({ profile: 'tdx', references: [tdxReference()] })
    expect((await importFile('tdx.cbor', tdx)).stdout).toMatch(/\n[0-9a-f-]{36} {2}trust-domain is added; SHA-256 /)
    expect((await importFile('tdx.cbor', tdx)).stdout).toContain('trust-domain was there before')
    const { mrTd, rtmr0, rtmr1, rtmr2 } = tdxTrustDomain
    expect(await storedAs('trust-domain')).toEqual([{ mrTd, rtmr0, rtmr1, rtmr2 }])
  })

  it('is signed by the key, or that of the certificate, that --signer names', async () => {
    const run = await importFile(
      'signed.cbor',
      signCorim(release),
      '--signer',
      vendorKey(),
      '--name',
      'signed',
      '--json',
    )
    const { corim, items } = JSON.parse(run.stdout)
    expect(corim).toMatchObject({
      signerName: 'Acme Ltd.',
      isVerified: true,
      signerKey: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(items).toMatchObject([{ isNew: true, referenceValue: { name: 'signed', value: psaRelease } }])
    const { root } = makePath()
    const certificate = write('other.pem', toPem(root, 'CERTIFICATE'))
    const other = await importFile('signed.cbor', signCorim(release), '--signer', certificate)
    expect(other).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('signed.cbor: ') })
    expect(other.stderr).toMatch(/protected\.alg is of another curve|signature: it is not by the key of the signer/)
  })

  it('that is signed is not taken without a key, unless that is said, and then it says so', async () => {
    const refused = await importFile('signed.cbor', signCorim(release))
    expect(refused).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('--unverified takes it all the same'),
    })
    const taken = await importFile('signed.cbor', signCorim(release), '--unverified', '--dry-run')
    expect(taken.stdout).toContain('signed   by Acme Ltd., it says: that is not verified\n')
  })

  it('that asks for more is taken in part only when that is said, and lists what is left out', async () => {
    const claims = [sevSnpClaim(641, { 2: [[7, Buffer.alloc(48, 1)]] }), sevSnpClaim(1, { 1: 3 })]
    const corim = makeCorim({ profile: 'sev-snp', references: [sevSnpReference({ claims })] })
    const refused = await importFile('more.cbor', corim)
    expect(refused).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('GUEST_SVN of the report: no reference'),
    })
    expect(refused.stderr).toContain('--partial leaves it out; say it in the policy.')
    expect(await storedAs('guest')).toEqual([])
    const taken = await importFile('more.cbor', corim, '--partial')
    expect(taken.stdout).toContain('ref-claims[]: GUEST_SVN of the report\n')
    expect(await storedAs('guest')).toEqual([{ measurements: ['01'.repeat(48)] }])
  })

  it('shows when it ends, and is refused afterwards', async () => {
    const until = (at: number) =>
      makeCorim({ references: [psaReference()], corim: { 4: members({ 1: epochTime(at) }) } })
    const good = await importFile('good.cbor', until(253_402_300_799), '--dry-run')
    expect(good.stdout).toMatch(/\ngood {5}until 9999-12-31T23:59:59Z \(in \d+ d\): remove its values then\n/)
    const late = await importFile('late.cbor', until(1_000_000_000), '--json')
    expect(late.exitCode).toBe(4)
    expect(JSON.parse(late.stderr).error).toMatchObject({
      code: 'corim_invalid',
      message: expect.stringContaining('rim-validity: it was valid until 2001-09-09'),
    })
  })

  it.each<[number, string, () => [string, string | Uint8Array, ...string[]]]>([
    [4, 'It is not signed.', () => ['a.cbor', release, '--signer', vendorKey()]],
    [4, 'Cannot read', () => ['a.cbor', signCorim(release), '--signer', inFolder('missing.pem')]],
    [4, 'one public key or certificate', () => ['a.cbor', signCorim(release), '--signer', write('two.pem', twoKeys())]],
    [4, 'one public key or certificate', () => ['a.cbor', signCorim(release), '--signer', write('no.pem', 'nothing')]],
    [
      4,
      'one public key or certificate',
      () => ['a.cbor', signCorim(release), '--signer', write('a.der', spkiOf(psaKeyPair()))],
    ],
    [
      4,
      'PRIVATE KEY',
      () => [
        'a.cbor',
        signCorim(release),
        '--signer',
        write('s.pem', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----'),
      ],
    ],
    [
      4,
      'cannot be read',
      () => ['a.cbor', signCorim(release), '--signer', write('c.pem', toPem(Buffer.of(1), 'CERTIFICATE'))],
    ],
    [
      4,
      'The key of the signer: The key is no SubjectPublicKeyInfo',
      () => ['a.cbor', signCorim(release), '--signer', write('k.pem', toPem(Buffer.of(1), 'PUBLIC KEY'))],
    ],
    [
      2,
      '--unverified is for a CoRIM without --signer',
      () => ['a.cbor', signCorim(release), '--signer', vendorKey(), '--unverified'],
    ],
    [2, 'are for a CoRIM', () => ['a.json', '{}', '--name', 'x']],
    [2, 'are for a CoRIM', () => ['a.json', '{}', '--partial']],
    [2, 'are for a CoRIM', () => ['a.json', '{}', '--unverified']],
    [2, 'are for a CoRIM', () => ['a.json', '{}', '--signer', 'x']],
    [4, 'is not JSON', () => ['a.json', '{']],
    [4, 'holds no reference values', () => ['a.json', '{}']],
  ])('ends with %i for what is wrong: %s', async (exitCode, what, args) => {
    const [name, content, ...flags] = args()
    const run = await importFile(name, content, ...flags)
    expect(run).toMatchObject({ exitCode, stderr: expect.stringContaining(what) })
  })

  it('shows what of a file in JSON would be added, too', async () => {
    const file = JSON.stringify({ format: 'sev-snp', name: 'image', values: [{ measurements: ['aa'.repeat(48)] }] })
    const run = await importFile('image.json', file, '--dry-run')
    expect(run.stdout).toMatch(
      /^VALUE +MEMBER +IS\n1 +measurements\.0 +(aa){48}\n1 value of sev-snp would be added as image\.$/,
    )
    expect(await storedAs('image')).toEqual([])
  })
})
