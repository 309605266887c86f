import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toEndorsementKey } from '../../../../../protocol/attestation/formats/tpm2/endorsement-key.ts'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import { derTime } from '../../../../support/der.ts'
import { anchorOf, testTpmModel, tpmNames } from '../../../../support/tpm/ek-authority.ts'
import {
  akKinds,
  type EvidenceOptions,
  makeEvidence,
  makeKnownEvidence,
  verifyEvidence,
} from '../../../../support/tpm/evidence.ts'
import { AK_ATTRIBUTES } from '../../../../support/tpm/software-tpm.ts'
import { tpm2b, tpmHashes, tpmSchemes, u16, u32 } from '../../../../support/tpm/structures.ts'
import { CERTIFICATE_NOT_AFTER, testExtensions } from '../../../../support/x509.ts'
import { testKeyPair } from '../../../../support/x509-signing.ts'
import { checkOf, failedCheckOf } from './refusals.ts'

const rsa = akKinds['RSASSA, SHA-256']
const scheme = (name: keyof typeof tpmSchemes, hash: keyof typeof tpmHashes) =>
  Buffer.concat([u16(tpmSchemes[name]), u16(tpmHashes[hash])])
const NULL = u16(tpmSchemes.null)
const { basicConstraints, keyUsage, extendedKeyUsage } = testExtensions
const ekPurpose = extendedKeyUsage('2.23.133.8.1')
const leaf = (...extensions: ReturnType<typeof tpmNames>[]) => ({ certificates: { leaf: { extensions } } })

/** Each is signed and named as if it were good: only the check sees it. */
const akFaults: [string, string, EvidenceOptions][] = [
  ['tpm2.ak_attributes', 'fixedTPM', { changeAk: { attributes: AK_ATTRIBUTES & ~2 } }],
  ['tpm2.ak_attributes', 'fixedParent', { changeAk: { attributes: AK_ATTRIBUTES & ~0x10 } }],
  ['tpm2.ak_attributes', 'sensitiveDataOrigin', { changeAk: { attributes: AK_ATTRIBUTES & ~0x20 } }],
  ['tpm2.ak_attributes', 'restricted', { changeAk: { attributes: AK_ATTRIBUTES & ~0x1_0000 } }],
  ['tpm2.ak_attributes', 'sign', { changeAk: { attributes: AK_ATTRIBUTES & ~0x4_0000 } }],
  ['tpm2.ak_attributes', 'no decrypt', { changeAk: { attributes: AK_ATTRIBUTES | 0x2_0000 } }],
  ['tpm2.ak_name_algorithm', 'a name of SHA-256 or SHA-384', { ak: { ...rsa, nameHash: 'sha1' } }],
  ['tpm2.ak_name_algorithm', 'a name of a hash that is taken', { ak: { ...rsa, nameHash: 'sha512' } }],
  ['tpm2.ak_key', '2048 bits', { ak: { ...rsa, key: 'RSA-1024' } }],
  ['tpm2.ak_key', 'the bits that it says', { ak: rsa, changeAk: { parameters: Buffer.concat([u16(2056), u32(0)]) } }],
  [
    'tpm2.ak_key',
    'the bits that it says it has at least',
    { ak: rsa, changeAk: { unique: tpm2b(Buffer.alloc(256, 0x7f)) } },
  ],
  ['tpm2.ak_key', 'at most 4096 bits', { ak: rsa, changeAk: { parameters: Buffer.concat([u16(4104), u32(0)]) } }],
  ['tpm2.ak_key', 'the exponent 65537', { ak: rsa, changeAk: { parameters: Buffer.concat([u16(2048), u32(3)]) } }],
  ['tpm2.ak_key', 'P-256 or P-384', { changeAk: { parameters: Buffer.concat([u16(5), NULL]) } }],
  ['tpm2.ak_key', 'no KDF', { changeAk: { parameters: Buffer.concat([u16(3), u16(0x20), u16(0x0b)]) } }],
  [
    'tpm2.ak_key',
    'a point',
    { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(32, 1)), tpm2b(Buffer.alloc(32, 1))]) } },
  ],
  [
    'tpm2.ak_key',
    'coordinates of its curve (x)',
    { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(33)), tpm2b(Buffer.alloc(32))]) } },
  ],
  [
    'tpm2.ak_key',
    'coordinates of its curve (y)',
    { changeAk: { unique: Buffer.concat([tpm2b(Buffer.alloc(32)), tpm2b(Buffer.alloc(33))]) } },
  ],
  ['tpm2.ak_scheme', 'a scheme', { changeAk: { scheme: NULL } }],
  ['tpm2.ak_scheme', 'a scheme of ECC', { changeAk: { scheme: scheme('rsassa', 'sha256') } }],
  ['tpm2.ak_scheme', 'a scheme of RSA', { ak: rsa, changeAk: { scheme: scheme('ecdsa', 'sha256') } }],
  ['tpm2.ak_scheme', 'a scheme that signs', { ak: rsa, changeAk: { scheme: scheme('oaep', 'sha256') } }],
  ['tpm2.ak_scheme', 'a hash other than SHA-1', { ak: { ...rsa, hash: 'sha1' } }],
]

describe('an AK', () => {
  test.each(akFaults)('fails %s without %s', (check, _, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBe(check)
  })

  test.each<[string, EvidenceOptions]>([
    ['that writes its exponent', { ak: rsa, changeAk: { parameters: Buffer.concat([u16(2048), u32(65_537)]) } }],
    ['with a policy', { changeAk: { policy: Buffer.alloc(32, 3) } }],
    ['with further attributes', { changeAk: { attributes: AK_ATTRIBUTES | 0x400 | 0x80 } }],
  ])('%s is verified', (_, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBeUndefined()
  })
})

describe('an EK certificate', () => {
  test.each<[string, string, EvidenceOptions]>([
    [
      'tpm2.ek_path.extended_key_usage',
      'of another purpose',
      leaf(basicConstraints(false), keyUsage('keyAgreement'), extendedKeyUsage('2.23.133.8.3')),
    ],
    [
      'tpm2.ek_path.key_usage',
      'of RSA for key agreement',
      { ek: 'RSA-2048', ...leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose) },
    ],
    [
      'tpm2.ek_path.key_usage',
      'of ECC for key encipherment',
      leaf(basicConstraints(false), keyUsage('keyEncipherment'), ekPurpose),
    ],
    [
      'tpm2.ek_path.leaf',
      'of an authority',
      leaf(basicConstraints(true), keyUsage('keyAgreement', 'keyCertSign'), ekPurpose),
    ],
    [
      'tpm2.ek_path.critical_extension',
      'with a critical extension that is not known',
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, {
        id: '1.2.3.4',
        critical: true,
        value: Buffer.of(5, 0),
      }),
    ],
    [
      'tpm2.ek_path.validity',
      'that has expired',
      { certificates: { leaf: { notAfter: derTime(Date.UTC(2026, 10, 1)) } } },
    ],
    [
      'tpm2.ek_path.signature',
      'that its issuer did not sign',
      { certificates: { leaf: { signingKey: testKeyPair('P-256', 'other').privateKey } } },
    ],
    [
      'tpm2.ek_path.critical_extension',
      'below an issuer with a critical name',
      {
        certificates: {
          intermediate: { extensions: [basicConstraints(true), keyUsage('keyCertSign'), tpmNames(testTpmModel)] },
        },
      },
    ],
    [
      'tpm2.ek_key',
      'of RSA-3072',
      { ek: 'RSA-3072' as 'RSA-2048', ...leaf(basicConstraints(false), keyUsage('keyEncipherment'), ekPurpose) },
    ],
    ['tpm2.ek_key', 'of P-521', { ek: 'P-521' as 'P-256' }],
    [
      'tpm2.ek_names',
      'with a critical name that is not that of a TPM',
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, testExtensions.subjectAltName(true)),
    ],
    [
      'tpm2.ek_names',
      'with a critical name without a manufacturer',
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, tpmNames({ model: 'x' })),
    ],
    [
      'tpm2.ek_names',
      'with a critical name that is no directory name',
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, tpmNames(testTpmModel, { tag: 0x82 })),
    ],
  ])('fails %s: %s', (check, _, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBe(check)
    expect(failedCheckOf(withCertificates(options))).toBe(check)
  })

  test('fails tpm2.ek_path.anchor without its root, and with its root as an intermediate', () => {
    const evidence = makeEvidence()
    const anchors = evidence.anchors.map((anchor) => ({ ...anchor, kind: 'intermediate' as const }))
    expect(failedCheckOf({ ...evidence, anchors: [] })).toBe('tpm2.ek_path.anchor')
    expect(failedCheckOf({ ...evidence, anchors })).toBe('tpm2.ek_path.anchor')
  })

  test('fails tpm2.ek_path.anchor without what is between it and its root, which an organization may know', () => {
    const { evidence, ...others } = makeEvidence()
    const { ekChain: chain, ...shorter } = evidence
    const intermediate = anchorOf(Buffer.from((chain as string[])[0] ?? '', 'base64url'), 'intermediate')
    expect(failedCheckOf({ ...others, evidence: shorter })).toBe('tpm2.ek_path.anchor')
    expect(failedCheckOf({ ...others, evidence: shorter, anchors: [...others.anchors, intermediate] })).toBeUndefined()
  })

  test.each<[string, Record<string, string>, EvidenceOptions]>([
    ['each in an RDN of its own', testTpmModel, {}],
    [
      'all in one RDN',
      testTpmModel,
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, tpmNames(testTpmModel, { inOne: true })),
    ],
    [
      'without being critical',
      testTpmModel,
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, tpmNames(testTpmModel, { critical: false })),
    ],
    ['not at all', {}, leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose)],
    [
      'among other names',
      {},
      leaf(basicConstraints(false), keyUsage('keyAgreement'), ekPurpose, testExtensions.subjectAltName(false)),
    ],
  ])('names the TPM: %s', (_, tpm, options) => {
    expect(verifyEvidence(makeEvidence(options)).attester?.state).toMatchObject({ tpm })
  })

  test('names the authorities above it and above its chain as what has to be known', () => {
    const { evidence, anchors } = makeEvidence()
    const { lookupId } = anchors[0] ?? expect.fail()
    const ids = tpm2.parse(evidence).trustAnchorIds
    expect(ids).toHaveLength(2)
    expect(ids).toContain(lookupId)
    expect(tpm2.parse(makeKnownEvidence().evidence).trustAnchorIds).toEqual([])
  })

  test('is remembered with the first end of validity on its path', () => {
    const state = (options: EvidenceOptions) => verifyEvidence(makeEvidence(options)).attester?.state
    const earlier = Date.UTC(2030, 0, 1)
    expect(state({})).toMatchObject({ certificatesValidUntil: CERTIFICATE_NOT_AFTER })
    for (const position of ['root', 'intermediate', 'leaf'] as const) {
      const changed = state({ certificates: { [position]: { notAfter: derTime(earlier) } } })
      expect(changed).toMatchObject({ certificatesValidUntil: earlier })
    }
  })
})

/** Of a known device that sends its certificate again, which has the fault now. */
function withCertificates(options: EvidenceOptions) {
  const { certificates: _, ...others } = options
  const isKnownKind = !['RSA-3072', 'P-521'].includes(options.ek ?? '')
  const first = makeEvidence(isKnownKind ? others : {})
  const { attester } = verifyEvidence(first)
  const later = makeEvidence(options)
  return {
    ...later,
    expected: { ...later.expected, attester: { kind: 'known' as const, ...(attester ?? expect.fail()) } },
  }
}

test('an EK of RSA-2048 has the exponent 65537', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 65_539 })
  expect(checkOf(() => toEndorsementKey(publicKey))).toBe('tpm2.ek_key')
})
