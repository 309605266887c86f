import { describe, expect, test } from 'vitest'
import { sevSnp } from '../../../../protocol/attestation/formats/sev-snp.ts'
import { toBase64url } from '../../../../protocol/encoding.ts'
import { der, derInteger, derOctets } from '../../../support/der.ts'
import { derIa5, makeSevSnp, type SevSnpOptions } from '../../../support/sev-snp/evidence.ts'
import { reportFields as at } from '../../../support/sev-snp/report.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const setting = (field: number, value: number): SevSnpOptions => ({
  change: (report) => void (report[field] = value),
})

describe('evidence is malformed', () => {
  const good = makeSevSnp().evidence
  test.each<[string, object]>([
    ['with another member', { ...good, more: 1 }],
    ['of another format', { ...good, format: 'tpm2' }],
    ['without a report', { format: 'sev-snp', vek: good.vek }],
    ['without the certificate of the key', { format: 'sev-snp', report: good.report }],
    ['with a report that is too short', { ...good, report: toBase64url(Buffer.alloc(1183)) }],
    ['with a report that is too long', { ...good, report: toBase64url(Buffer.alloc(1185)) }],
    ['with five certificates', { ...good, chain: Array.from({ length: 5 }, () => good.vek) }],
    ['with a certificate that is none', { ...good, chain: [toBase64url(Buffer.of(1))] }],
  ])('%s', (_what, evidence) => {
    expect(() => sevSnp.parse(evidence as typeof good)).toThrow(malformed)
  })

  test('with four certificates it is not', () => {
    expect(() => sevSnp.parse({ ...good, chain: Array.from({ length: 4 }, () => good.vek as string) })).not.toThrow()
  })

  test.each<[string, SevSnpOptions]>([
    ['of version 1', setting(at.version, 1)],
    ['of version 6', setting(at.version, 6)],
    ['with a reserved bit of its flags', setting(at.flags, 0x20)],
    ['with a reserved byte behind its flags', setting(0x4c, 1)],
    ['with the last reserved byte behind its flags', setting(0x4f, 1)],
    ['of version 2 with a processor', { version: 2, ...setting(0x188, 0x19) }],
    ['of version 3 with a reserved byte behind its processor', setting(0x18b, 1)],
    ['with a reserved byte before its chip id', setting(0x19f, 1)],
    ['with a reserved byte behind its current firmware', setting(0x1eb, 1)],
    ['with a reserved byte behind its committed firmware', setting(0x1ef, 1)],
    ['of version 4 with mitigations', { version: 4, ...setting(0x1f8, 1) }],
    ['of version 5 with a reserved byte behind its mitigations', { version: 5, ...setting(0x208, 1) }],
    ['with a reserved byte before its signature', { version: 5, ...setting(0x29f, 1) }],
    ['with a byte behind its signature', { forge: (report) => void (report[0x330] = 1) }],
    ['with another last byte', { forge: (report) => void (report[0x49f] = 1) }],
    ['with r of 49 bytes', { forge: (report) => void (report[at.r + 48] = 1) }],
    ['with s of 72 bytes', { forge: (report) => void (report[at.s + 71] = 1) }],
    ['with a guest policy without its bit 17', setting(at.policy + 2, 0x01)],
    ['with bit 26 of its guest policy', setting(at.policy + 3, 0x04)],
    ['with bit 63 of its guest policy', setting(at.policy + 7, 0x80)],
  ])('with a report %s', (_what, options) => {
    expect(() => sevSnp.parse(makeSevSnp(options).evidence)).toThrow(malformed)
  })

  test.each<[string, NonNullable<SevSnpOptions['extensions']>]>([
    ['without a product', { 2: undefined }],
    ['of an unknown product', { 2: derIa5('Naples-B0') }],
    ['of a product and more', { 2: derIa5('Milan-B0 ') }],
    ['of a product behind something', { 2: derIa5('xMilan') }],
    ['of a product that is no text', { 2: derOctets(Buffer.from('Milan-B0')) }],
    ['of version 2 of its extensions', { 1: derInteger(2) }],
    ['without a version of its extensions', { 1: undefined }],
    ['without a patch level', { 3.3: undefined }],
    ['with a patch level of 256', { 3.8: derInteger(256) }],
    ['with a patch level below zero', { 3.8: der(2, Buffer.of(0xff)) }],
    ['with the lowest patch level of one byte', { 3.8: der(2, Buffer.of(0x80)) }],
    ['with a patch level that is no number', { 3.8: derOctets(Buffer.of(1)) }],
    ['with a chip id that is too short', { 4: derOctets(Buffer.alloc(63)) }],
    ['with a chip id of Turin', { 4: Buffer.alloc(8) }],
    ['with an empty provider', { 5: derIa5('') }],
    ['with a provider of 129 characters', { 5: derIa5('a'.repeat(129)) }],
    ['with a provider with a control character', { 5: derIa5('a\n') }],
  ])('with a key %s', (_what, extensions) => {
    expect(() => sevSnp.parse(makeSevSnp({ extensions }).evidence)).toThrow(malformed)
  })

  test('of Turin without the level of its FMC', () => {
    expect(() => sevSnp.parse(makeSevSnp({ product: 'Turin', extensions: { 3.9: undefined } }).evidence)).toThrow(
      malformed,
    )
  })
})
