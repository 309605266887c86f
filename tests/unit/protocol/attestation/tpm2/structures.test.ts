import { describe, expect, test } from 'vitest'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { der, derId, derOctets, derSequence } from '../../../../support/der.ts'
import { tpmNames } from '../../../../support/tpm/ek-authority.ts'
import { akKinds, type EvidenceOptions, makeEvidence, testPcrs, toText } from '../../../../support/tpm/evidence.ts'
import { hashOf, tpm2b, tpmHashes, tpmSchemes, u16, u32, writeSelection } from '../../../../support/tpm/structures.ts'
import { testExtensions } from '../../../../support/x509.ts'
import { checkOf, failedCheckOf } from './refusals.ts'

const { evidence, tpm } = makeEvidence()
const rsa = akKinds['RSASSA, SHA-256']
const bytesOf = (member: string, of: Record<string, Json> = evidence) => Buffer.from(of[member] as string, 'base64url')
const member = (name: string, bytes: Uint8Array): EvidenceOptions => ({ members: { [name]: toText(bytes) } })
const selections = (...each: Uint8Array[]) => ({
  quote: { changes: { selections: Buffer.concat([u32(each.length), ...each]) } },
})
const bank = (id: number) => writeSelection({ bank: id, pcrs: [] })
const signature = Buffer.concat([u16(tpmSchemes.ecdsa), u16(tpmHashes.sha256)])
const leaf = (...names: ReturnType<typeof tpmNames>[]) => {
  const { basicConstraints, keyUsage, extendedKeyUsage } = testExtensions
  const extensions = [basicConstraints(false), keyUsage('keyAgreement'), extendedKeyUsage('2.23.133.8.1'), ...names]
  return { certificates: { leaf: { extensions } } }
}
const attribute = (id: string, value: Uint8Array) =>
  derSequence(der(0xa4, derSequence(der(0x31, derSequence(derId(id), value)))))

const nothing = Buffer.alloc(0)
/** The quote, of another type. */
const typed = (type: number) =>
  Buffer.concat([bytesOf('quote').subarray(0, 4), u16(type), bytesOf('quote').subarray(6)])

describe('evidence of a TPM is malformed', () => {
  test.each<[string, EvidenceOptions]>([
    ['with a public area that has no size', member('akPublic', tpm.akArea)],
    [
      'with a public area that has more behind it',
      member('akPublic', Buffer.concat([tpm2b(tpm.akArea), Buffer.of(0)])),
    ],
    ['with a public area that has more in it', member('akPublic', tpm2b(tpm.akArea, Buffer.of(0)))],
    ['with a public area that says more than it is', member('akPublic', Buffer.concat([u16(0x60), tpm.akArea]))],
    ['with a public area of 609 bytes', member('akPublic', tpm2b(Buffer.alloc(609)))],
    ['with a public area that ends too early', member('akPublic', tpm2b(tpm.akArea.subarray(0, -1)))],
    ['with a key that is neither of RSA nor of ECC', { changeAk: { type: 8, parameters: nothing, unique: nothing } }],
    ['with a scheme that is not known', { changeAk: { scheme: u16(tpmSchemes.ecdaa) } }],
    ['with a policy of 65 bytes', { changeAk: { policy: Buffer.alloc(65) } }],
    ['with a modulus of 513 bytes', { ak: rsa, changeAk: { unique: tpm2b(Buffer.alloc(513, 0xff)) } }],
    [
      'with an x of 67 bytes',
      { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(67)), tpm2b(Buffer.alloc(32))]) } },
    ],
    [
      'with a y of 67 bytes',
      { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(67))]) } },
    ],
    ['with a quote that has more behind it', { quote: { changes: { behind: Buffer.of(0) } } }],
    ['with a quote that ends too early', member('quote', bytesOf('quote').subarray(0, -1))],
    ['with what is no quote and ends too early', member('quote', typed(0x8017).subarray(0, 145 - 50))],
    ['with a qualified name of 67 bytes', { quote: { changes: { qualifiedSigner: Buffer.alloc(67) } } }],
    ['with extra data of 65 bytes', { quote: { binding: Buffer.alloc(65) } }],
    ['with a clock beyond 2^53', { quote: { changes: { clock: 2n ** 53n } } }],
    ['with a clock that is neither safe nor not', { quote: { changes: { safe: 2 } } }],
    ['with a digest of 65 bytes', { quote: { changes: { pcrDigest: Buffer.alloc(65) } } }],
    ['with 17 banks', selections(...Array.from({ length: 17 }, (_, id) => bank(id)))],
    ['with a bank twice', selections(bank(11), bank(11))],
    ['with a selection of five bytes', selections(Buffer.concat([u16(11), Buffer.of(5), Buffer.alloc(5)]))],
    ['with a signature of another algorithm', member('signature', Buffer.concat([u16(tpmSchemes.ecdaa), u16(11)]))],
    [
      'with a signature that has more behind it',
      member('signature', Buffer.concat([bytesOf('signature'), Buffer.of(0)])),
    ],
    ['with a signature that ends too early', member('signature', bytesOf('signature').subarray(0, -1))],
    [
      'with an r of 67 bytes',
      member('signature', Buffer.concat([signature, tpm2b(Buffer.alloc(67)), tpm2b(Buffer.alloc(32))])),
    ],
    [
      'with an s of 67 bytes',
      member('signature', Buffer.concat([signature, tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(67))])),
    ],
    [
      'with an RSA signature of 513 bytes',
      member('signature', Buffer.concat([u16(tpmSchemes.rsassa), u16(11), tpm2b(Buffer.alloc(513))])),
    ],
    [
      'with a name of a TPM that is no text',
      leaf({ id: '2.5.29.17', value: attribute('2.23.133.2.1', derOctets(Buffer.from('id:00001014'))) }),
    ],
    [
      'with a name of a TPM that has no value',
      leaf({ id: '2.5.29.17', value: attribute('2.23.133.2.1', Buffer.alloc(0)) }),
    ],
    ['with a name of a TPM of 257 characters', leaf(tpmNames({ manufacturer: 'm'.repeat(257) }))],
    ['with a name of a TPM that holds a control character', leaf(tpmNames({ manufacturer: 'id:\0' }))],
    ['with a name of a TPM without a character', leaf(tpmNames({ manufacturer: '' }))],
    [
      'with a name of nothing',
      leaf({ id: '2.5.29.17', value: derSequence(der(0xa4, derSequence(der(0x31, derSequence())))) }),
    ],
    ['with names that are no sequence', leaf({ id: '2.5.29.17', value: der(0x31) })],
    ['with a directory name that is no sequence', leaf({ id: '2.5.29.17', value: derSequence(der(0xa4, der(0x31))) })],
  ])('%s', (_, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBe('malformed')
  })

  test.each<[string, Record<string, Json | undefined>]>([
    ['of another format', { format: 'none' }],
    ['with a further member', { claims: {} }],
    ['without an AK', { akPublic: undefined }],
    ['without a quote', { quote: undefined }],
    ['without a signature', { signature: undefined }],
    ['without PCRs', { pcrs: undefined }],
    ['with a chain of nothing', { ekCertificate: undefined }],
    [
      'with five certificates above its own',
      { ekChain: Array.from({ length: 5 }, () => evidence.ekCertificate as string) },
    ],
    ['with a certificate that is none', { ekCertificate: 'AAAA' }],
    ['with a certificate above it that is none', { ekChain: ['AAAA'] }],
    ['with base64', { quote: '++++' }],
    ['with a quote of nothing', { quote: '' }],
    ['with a secret of 31 bytes', { activatedSecret: toText(Buffer.alloc(31)) }],
    ['with a secret of 33 bytes', { activatedSecret: toText(Buffer.alloc(33)) }],
    ['with a bank of SHA-1', { pcrs: { ...testPcrs, sha1: {} } }],
    ['with PCR 24', { pcrs: { sha256: { ...testPcrs.sha256, 24: '00'.repeat(32) } } }],
    ['with PCR 07', { pcrs: { sha256: { ...testPcrs.sha256, '07': '00'.repeat(32) } } }],
    ['with a value in upper case', { pcrs: { sha256: { 0: 'AB'.repeat(32) } } }],
    ['with a value of 31 bytes', { pcrs: { sha256: { 0: 'ab'.repeat(31) } } }],
    ['with a value of SHA-256 in the bank of SHA-384', { pcrs: { sha384: { 0: 'ab'.repeat(32) } } }],
    ['with PCRs that are a list', { pcrs: { sha256: ['ab'.repeat(32)].map(() => null) } }],
  ])('%s', (_, members) => {
    expect(failedCheckOf(makeEvidence({ members }))).toBe('malformed')
  })

  test.each<[string, Record<string, Json>]>([
    ['Unrecognized key: "claims"', { claims: {} }],
    ['pcrs.sha256.0: Not a value in hex.', { pcrs: { sha256: { 0: '' } } }],
    ['pcrs: Not an object of at most 2 members.', { pcrs: 'x' }],
    ['akPublic: Holds 0 bytes, not 1 to 610.', { akPublic: '' }],
    ['ekChain: There is no ekCertificate.', { ekCertificate: null }],
  ])('and says where: %s', (message, { ekCertificate, ...members }) => {
    const { ekCertificate: own, ...others } = evidence
    const sent = { ...others, ...(ekCertificate !== null && { ekCertificate: own as Json }), ...members }
    expect(messageOf(() => tpm2.parse(sent))).toBe(message)
  })

  test('and says so in a few words, whatever was sent', () => {
    const members = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`member${index}`, 1]))
    for (const sent of [members, { pcrs: members }, { pcrs: { sha256: members } }, { ['m'.repeat(100_000)]: 1 }]) {
      const message = messageOf(() => tpm2.parse({ ...evidence, ...sent }))
      expect(message.length).toBeLessThanOrEqual(256)
    }
  })
})

describe('evidence of a TPM may have', () => {
  test.each<[string, EvidenceOptions]>([
    [
      '16 banks of which one has PCRs',
      selections(
        writeSelection({ bank: 11, pcrs: [0, 1, 2, 3, 4, 5, 6, 7] }),
        ...Array.from({ length: 15 }, (_, id) => bank(id + 0x40)),
      ),
    ],
    ['a clock of 2^53 − 1', { quote: { changes: { clock: 2n ** 53n - 1n } } }],
    ['a policy of 64 bytes', { changeAk: { policy: Buffer.alloc(64) } }],
    ['names of a TPM of 256 characters', leaf(tpmNames({ manufacturer: 'm'.repeat(256), model: 'ß' }))],
    [
      'four certificates above its own',
      { members: { ekChain: Array.from({ length: 4 }, () => (evidence.ekChain as Json[])[0] as Json) } },
    ],
    ['an empty bank', { members: { pcrs: { ...testPcrs, sha384: {} } } }],
  ])('%s', (_, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBeUndefined()
  })

  test.each<[string, EvidenceOptions, string]>([
    [
      'a qualified name of 66 bytes',
      { quote: { changes: { qualifiedSigner: Buffer.alloc(66) } } },
      'tpm2.qualified_signer',
    ],
    ['extra data of 64 bytes', { quote: { binding: Buffer.alloc(64) } }, 'tpm2.binding'],
    ['a digest of 64 bytes', { quote: { changes: { pcrDigest: Buffer.alloc(64) } } }, 'tpm2.pcr_digest'],
    ['a modulus of 512 bytes', { ak: rsa, changeAk: { unique: tpm2b(Buffer.alloc(512, 0xff)) } }, 'tpm2.ak_key'],
    [
      'coordinates of 66 bytes',
      { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(66)), tpm2b(Buffer.alloc(66))]) } },
      'tpm2.ak_key',
    ],
    [
      'an r of 66 bytes',
      member('signature', Buffer.concat([signature, tpm2b(Buffer.alloc(66)), tpm2b(Buffer.alloc(32))])),
      'tpm2.signature',
    ],
    [
      'an s of 66 bytes',
      member('signature', Buffer.concat([signature, tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(66))])),
      'tpm2.signature',
    ],
    [
      'a modulus that begins with 80',
      { ak: rsa, changeAk: { unique: tpm2b(Buffer.of(0x80), Buffer.alloc(255, 0xff)) } },
      'tpm2.signature',
    ],
    [
      'an RSA signature of 512 bytes',
      { ak: rsa, ...member('signature', Buffer.concat([u16(tpmSchemes.rsassa), u16(11), tpm2b(Buffer.alloc(512))])) },
      'tpm2.signature',
    ],
    ['a scheme without a hash', { ak: rsa, changeAk: { scheme: u16(0x15) } }, 'tpm2.ak_scheme'],
    [
      'a symmetric algorithm',
      { changeAk: { symmetric: Buffer.concat([u16(6), u16(128), u16(0x43)]), attributes: 0 } },
      'tpm2.ak_attributes',
    ],
  ])('%s as far as its form goes', (_, options, check) => {
    expect(failedCheckOf(makeEvidence(options))).toBe(check)
  })
})

describe('a request for a credential', () => {
  const { ekCertificate = '', ekChain = [], akPublic = '' } = evidence
  const request = (members: Record<string, Json>) => checkOf(() => tpm2.parseCredentialRequest?.(members))

  test('has an EK certificate, its chain and an AK, and nothing else', () => {
    expect(request({ ekCertificate, ekChain, akPublic })).toBeUndefined()
    expect(request({ ekCertificate, akPublic })).toBeUndefined()
    expect(request({ ekChain, akPublic })).toBe('malformed')
    expect(request({ ekCertificate, ekChain })).toBe('malformed')
    expect(request({ ekCertificate, akPublic, format: 'tpm2' })).toBe('malformed')
    expect(request({ ekCertificate, akPublic: toText(hashOf('sha256')) })).toBe('malformed')
    expect(request({ ekCertificate: akPublic, akPublic })).toBe('malformed')
  })
})

function messageOf(attempt: () => unknown): string {
  try {
    attempt()
  } catch (error) {
    return (error as Error).message
  }
  return expect.fail()
}
