import { createHash, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAuthority } from '../../../protocol/attestation/x509/parse-authority.ts'
import { parsePem } from '../../../protocol/attestation/x509/pem.ts'

const folder = join(import.meta.dirname, '..', '..', '..', 'deploy', 'anchors')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

interface Entry {
  file: string
  subject: string
  sha256: string
  issuer: string
  source: string
  checked: { against: string; by: 'sha1' | 'sha256'; value: string }
}
const { certificates }: { certificates: Entry[] } = JSON.parse(read('index.json'))

test('every certificate of a manufacturer is in the index, once, and nothing else is', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.pem'))
  expect(files.length).toBeGreaterThan(0)
  expect(certificates.map(({ file }) => file).toSorted()).toEqual(files.toSorted())
})

describe('a root of a manufacturer', () => {
  test.each(certificates)(
    '$file is the authority that the index names, and was compared with a second source',
    (entry) => {
      const found = parsePem(read(entry.file), 'CERTIFICATE')
      expect(found).toHaveLength(1)
      const [der] = found as [Uint8Array]
      expect(createHash('sha256').update(der).digest('hex')).toBe(entry.sha256)
      expect(createHash(entry.checked.by).update(der).digest('hex')).toBe(entry.checked.value)
      expect(entry.source).toMatch(/\S/)
      expect(entry.checked.against).toMatch(/^https:/)
      const authority = parseAuthority(der)
      const certificate = new X509Certificate(der)
      // A name without a common name stands there with what it has.
      expect(authority.subject).toContain(entry.subject.includes('=') ? entry.subject : `CN=${entry.subject}`)
      expect(authority.isSelfIssued).toBe(entry.issuer === 'self')
      expect(certificate.verify(certificate.publicKey), 'signed by its own key').toBe(entry.issuer === 'self')
      if (entry.issuer !== 'self') expect(certificate.issuer).toContain(`CN=${entry.issuer}`)
    },
  )
})
