import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { toSevSnpEvidence } from '../../client/confidential/sev-snp-evidence.ts'
import { sevSnp } from '../../protocol/attestation/formats/sev-snp.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'
import { makeSevSnp } from '../support/sev-snp/evidence.ts'

/** From verify/testdata of google/go-sev-guest: the report was asked for with 0102030405 and zeros. */
const binding = Buffer.concat([Buffer.from('0102030405', 'hex'), Buffer.alloc(27)])
const expected = { ...makeSevSnp().expected, binding }
const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

const certificatesOf = (name: string) => readPemFixture(`public/sev-snp/${name}`, 'CERTIFICATE') as [Buffer, Buffer]
const rootOf = (name: string) => {
  const [, der] = certificatesOf(name)
  return { lookupId: parseCertificate(der).subjectId, kind: 'root' as const, der }
}
const parseReal = (report = readFixture('public/sev-snp/attestation.bin')) =>
  sevSnp.parse({
    format: 'sev-snp',
    report: toBase64url(report),
    vek: toBase64url(readFixture('public/sev-snp/vcek.testcer')),
    chain: [toBase64url(certificatesOf('ask_ark_milan.pem')[0])],
  })

describe.skipIf(fixtures === undefined)('a report of QFLARE_FIXTURES; unset, none is read', () => {
  test('of Milan is verified to the root of AMD, and is contraindicated for its guest can be debugged', () => {
    const { claims, appraise } = parseReal().verify([rootOf('ask_ark_milan.pem')], expected)
    const measurement =
      'b07af9620f3b839b47996422ddec6058338951d984e312115131ea82705eaf5b6bdf8a9ece31a5a608eb0cf2e4872b01'
    const tcb = { bootloader: 2, tee: 0, snp: 5, microcode: 0x44 }
    expect(claims).toMatchObject({
      version: 2,
      productName: 'Milan-B0',
      signingKey: 'vcek',
      policy: { abi: '0.0', flags: ['smt', 'debug'] },
      platform: ['smt'],
      vmpl: 0,
      measurement,
      tcb: { reported: tcb, committed: tcb, current: tcb, launch: tcb },
      firmware: { current: '1.49.3', committed: '1.49.3' },
      revocation: 'unknown',
    })
    const bad = (rules: object) =>
      appraise(sevSnp.rules.parse(rules), [{ measurements: [measurement] }])
        .filter(({ value }) => value >= 96)
        .map(({ check }) => check)
    expect(bad({})).toEqual(['sev-snp.guest_policy'])
    expect(bad({ allowed: ['debug', 'smt'] })).toEqual([])
  })

  test('is sent by the attester with files as AMD gives them out, and asks for them by the chip and its firmware', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qflare-foreign-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const files = ['vcek.testcer', 'ask_ark_milan.pem'].map((name) => join(folder, name)) as [string, string]
    await writeFile(files[0], readFixture('public/sev-snp/vcek.testcer'))
    await writeFile(files[1], readFixture('public/sev-snp/ask_ark_milan.pem'))
    const report = {
      provider: 'sev_guest',
      outblob: readFixture('public/sev-snp/attestation.bin'),
      auxblob: new Uint8Array(),
    }
    const { claims } = sevSnp
      .parse(await toSevSnpEvidence(report, files))
      .verify([rootOf('ask_ark_milan.pem')], expected)
    const { chipId } = claims as { chipId: string }
    await expect(toSevSnpEvidence(report, [files[1]])).rejects.toMatchObject({
      code: 'certificates_missing',
      message: expect.stringContaining(
        `https://kdsintf.amd.com/vcek/v1/Milan/${chipId}?blSPL=2&teeSPL=0&snpSPL=5&ucodeSPL=68 and`,
      ),
    })
  })

  test('is refused with another binding, another root, a bit of another value, and when its key has expired', () => {
    const root = rootOf('ask_ark_milan.pem')
    expect(() => parseReal().verify([root], { ...expected, binding: Buffer.alloc(32) })).toThrow(
      refused('sev-snp.report_data'),
    )
    expect(() => parseReal().verify([rootOf('ask_ark_genoa.pem')], expected)).toThrow(refused('sev-snp.path.anchor'))
    const changed = Buffer.from(readFixture('public/sev-snp/attestation.bin'))
    changed[0x0a] = 0x03
    expect(() => parseReal(changed).verify([root], expected)).toThrow(refused('sev-snp.signature'))
    expect(() => parseReal().verify([root], { ...expected, now: Date.UTC(2029, 9) })).toThrow(
      refused('sev-snp.path.validity'),
    )
  })
})
