import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseCertificateTable, readCertificateFiles } from '../../../../client/confidential/certificates.ts'
import { toPem } from '../../../../protocol/attestation/x509/pem.ts'
import { makeSevSnp } from '../../../support/sev-snp/evidence.ts'
import { certificateTable } from '../../../support/tsm/machines.ts'

const { leaf, issuer, root } = makeSevSnp().certificates
const whole = certificateTable([
  ['VCEK', leaf],
  ['ASK', issuer],
  ['ARK', root],
])
const found = (table: Uint8Array) => parseCertificateTable(table).map(({ raw }) => raw)

describe('the certificates that a host gives out', () => {
  it('are read in their order', () => {
    expect(whole.subarray(0, 16).toString('hex')).toBe('63da758de6644564adc5f4b93be8accd')
    expect(found(whole)).toEqual([leaf, issuer, root])
  })

  it('may be none, in PEM, or of a table without an end', () => {
    for (const none of [new Uint8Array(), Buffer.alloc(24), Buffer.alloc(16 * 1024), Buffer.alloc(23, 1)]) {
      expect(found(none)).toEqual([])
    }
    expect(found(certificateTable([['VCEK', Buffer.from(toPem(leaf, 'CERTIFICATE'))]]))).toEqual([leaf])
    expect(found(certificateTable([['VCEK', leaf]]).subarray(0, 24))).toEqual([])
  })

  it('are those that are certificates: what else a host puts there is passed over', () => {
    const key = Buffer.from(toPem(leaf, 'PUBLIC KEY'))
    for (const other of [Buffer.alloc(40), key, leaf.subarray(0, -1), Buffer.alloc(0)]) {
      expect(
        found(
          certificateTable([
            ['VCEK', other],
            ['ASK', issuer],
          ]),
        ),
      ).toEqual([issuer])
    }
    const outside = Buffer.from(whole)
    outside.writeUInt32LE(0xffffffff, 16)
    expect(found(outside)).toEqual([issuer, root])
    outside.writeUInt32LE(0xffffffff, 20)
    expect(found(outside)).toEqual([issuer, root])
  })

  it('are at most 32, whatever the table says', () => {
    expect(found(certificateTable(Array.from({ length: 40 }, () => ['ASK', issuer] as const)))).toHaveLength(32)
  })

  it('throw nothing, whatever they are', () => {
    for (let run = 0; run < 2_000; run++) {
      const bytes = Buffer.from(whole.subarray(0, 1 + ((run * 7919) % whole.length)))
      for (let change = 0; change < 4; change++)
        bytes[(run * (31 + change * 97)) % bytes.length] = (run >> change) & 0xff
      expect(() => parseCertificateTable(bytes)).not.toThrow()
    }
  })
})

describe('files of certificates', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qflare-certificates-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  async function file(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(join(folder, name), content)
    return join(folder, name)
  }

  it('are what AMD gives out: one in DER, several in PEM', async () => {
    const paths = [
      await file('vcek', leaf),
      await file('cert_chain', [issuer, root].map((der) => toPem(der, 'CERTIFICATE')).join('')),
    ]
    expect((await readCertificateFiles(paths)).map(({ raw }) => raw)).toEqual([leaf, issuer, root])
    expect(await readCertificateFiles([])).toEqual([])
  })

  it.each<[string, () => Promise<string>, RegExp]>([
    ['is not there', async () => join(folder, 'none'), /none gives no certificates \(ENOENT/],
    ['is a folder', async () => folder, /gives no certificates \(EISDIR/],
    ['is something else', () => file('text', 'root:x:0'), /text gives no certificates/],
    [
      'holds a private key',
      () => file('key', toPem(leaf, 'CERTIFICATE').replaceAll('CERTIFICATE', 'PRIVATE KEY')),
      /PRIVATE KEY, not a CERTIFICATE/,
    ],
    ['is longer than certificates are', () => file('long', new Uint8Array(64 * 1024 + 1)), /longer than 65536 bytes/],
  ])('say which of them %s, and nothing of what it holds', async (_what, path, message) => {
    const refused = readCertificateFiles([await file('good', leaf), await path()])
    await expect(refused).rejects.toMatchObject({
      code: 'certificates_missing',
      message: expect.stringMatching(message),
    })
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('root:x') })
  })
})
