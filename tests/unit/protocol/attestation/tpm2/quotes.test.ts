import { describe, expect, test } from 'vitest'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import {
  akKinds,
  type EvidenceOptions,
  makeEvidence,
  makeKnownEvidence,
  testPcrs,
} from '../../../../support/tpm/evidence.ts'
import type { AttestParts } from '../../../../support/tpm/structures.ts'
import { hashOf, tpmHashes, u16, u32, writeSelections } from '../../../../support/tpm/structures.ts'
import { testKeyPair } from '../../../../support/x509-signing.ts'
import { failedCheckOf } from './refusals.ts'

const all = [0, 1, 2, 3, 4, 5, 6, 7]
const sha256 = { bank: tpmHashes.sha256, pcrs: all }
const flipped = (at: number) => (value: Buffer) => {
  value[at] = (value[at] as number) ^ 1
  return value
}
const without = (pcr: string) => {
  const { [pcr]: _, ...others } = testPcrs.sha256 ?? {}
  return { sha256: others }
}
const changed = (parts: Partial<AttestParts>): EvidenceOptions => ({ quote: { changes: parts } })
const rsa = { ak: akKinds['RSASSA, SHA-256'] } as const
const pss = { ak: akKinds['RSAPSS, SHA-256'] } as const

const faults: [string, string, EvidenceOptions][] = [
  ['tpm2.signature_scheme', 'a signature of another scheme', { ...rsa, quote: { signing: { scheme: 'rsapss' } } }],
  ['tpm2.signature_scheme', 'a signature of the other scheme', { ...pss, quote: { signing: { scheme: 'rsassa' } } }],
  ['tpm2.signature_scheme', 'a signature with another hash', { quote: { signing: { hash: 'sha384' } } }],
  ['tpm2.signature_scheme', 'a signature with SHA-1', { quote: { signing: { hash: 'sha1' } } }],
  ['tpm2.signature', 'an ECDSA signature with another r', { quote: { changeValue: flipped(3) } }],
  ['tpm2.signature', 'an ECDSA signature with another s', { quote: { changeValue: flipped(40) } }],
  ['tpm2.signature', 'an ECDSA signature of zeros', { quote: { changeValue: (value) => value.fill(0) } }],
  [
    'tpm2.signature',
    'an ECDSA signature that is longer than its curve',
    { quote: { changeValue: () => Buffer.alloc(66, 1) } },
  ],
  ['tpm2.signature', 'an RSASSA signature with another bit', { ...rsa, quote: { changeValue: flipped(100) } }],
  [
    'tpm2.signature',
    'an RSASSA signature that is too short',
    { ...rsa, quote: { changeValue: (value) => value.subarray(1) } },
  ],
  ['tpm2.signature', 'an RSAPSS signature with another bit', { ...pss, quote: { changeValue: flipped(100) } }],
  ['tpm2.signature', 'a signature of another key', { quote: { signingKey: testKeyPair('P-256', 'other').privateKey } }],
  ['tpm2.magic', 'the magic of no TPM', changed({ magic: 0xff544348 })],
  ['tpm2.type', 'what is no quote', changed({ type: 0x8017 })],
  ['tpm2.binding', 'another binding', { quote: { binding: Buffer.alloc(32, 0xb2) } }],
  ['tpm2.binding', 'a binding that is longer', { quote: { binding: Buffer.alloc(33, 0xb1) } }],
  ['tpm2.binding', 'no binding', { quote: { binding: Buffer.alloc(0) } }],
  [
    'tpm2.pcr_bank',
    'PCRs of SHA-1',
    changed({ selections: writeSelections([sha256, { bank: tpmHashes.sha1, pcrs: [0] }]) }),
  ],
  [
    'tpm2.pcr_values',
    'a PCR that is sent and not quoted',
    changed({ selections: writeSelections([{ ...sha256, pcrs: all.slice(1) }]) }),
  ],
  [
    'tpm2.pcr_values',
    'a PCR that is quoted and not sent',
    changed({ selections: writeSelections([{ ...sha256, pcrs: [...all, 8] }]) }),
  ],
  [
    'tpm2.pcr_values',
    'a PCR that is sent in place of one that is quoted',
    { quote: { pcrs: without('3') }, members: { pcrs: without('4') } },
  ],
  [
    'tpm2.pcr_values',
    'a bank that is sent and not quoted',
    { members: { pcrs: { ...testPcrs, sha384: { 0: '00'.repeat(48) } } } },
  ],
  [
    'tpm2.pcr_digest',
    'another value of a PCR',
    { members: { pcrs: { sha256: { ...testPcrs.sha256, 0: '00'.repeat(32) } } } },
  ],
  ['tpm2.pcr_digest', 'another digest', changed({ pcrDigest: Buffer.alloc(32) })],
  ['tpm2.pcr_digest', 'no digest', changed({ pcrDigest: Buffer.alloc(0) })],
  ['tpm2.qualified_signer', 'the qualified name of another key', changed({ qualifiedSigner: Buffer.alloc(34, 7) })],
  ['tpm2.qualified_signer', 'the name of nobody', changed({ qualifiedSigner: Buffer.alloc(0) })],
]

describe('a quote with one fault', () => {
  test.each(faults)('fails %s: %s', (check, _, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBe(check)
    expect(failedCheckOf(makeKnownEvidence(options))).toBe(check)
  })
})

describe('a quote of no fault', () => {
  test.each<[string, EvidenceOptions]>([
    [
      'names a bank that it has not',
      changed({ selections: writeSelections([sha256, { bank: tpmHashes.sha1, pcrs: [] }]) }),
    ],
    [
      'selects with four bytes',
      changed({ selections: Buffer.concat([u32(1), u16(tpmHashes.sha256), Buffer.of(4, 0xff, 0, 0, 0)]) }),
    ],
    ['leaves a zero before r away', { quote: { shortR: true } }],
    ['is signed with the longest salt that fits', { ...pss, quote: { saltLength: 222 } }],
  ])('is verified when it %s', (_, options) => {
    expect(failedCheckOf(makeEvidence(options))).toBeUndefined()
  })

  test('quotes no PCR at all, which is for the policy', () => {
    expect(failedCheckOf(makeEvidence({ quote: { pcrs: {} } }))).toBeUndefined()
  })
})

describe('the digest of the PCRs', () => {
  test('is over the banks in the order of the quote', () => {
    const pcrs = { sha256: { 0: '11'.repeat(32) }, sha384: { 0: '22'.repeat(48) } }
    const selections = [
      { bank: tpmHashes.sha384, pcrs: [0] },
      { bank: tpmHashes.sha256, pcrs: [0] },
    ]
    const values = { 12: Buffer.alloc(32, 0x11), 21: Buffer.alloc(48, 0x22) }
    const quoted = (order: 'sent' | 'signed') => ({
      quote: {
        pcrs,
        changes: {
          selections: writeSelections(selections),
          pcrDigest:
            order === 'signed' ? hashOf('sha256', values[21], values[12]) : hashOf('sha256', values[12], values[21]),
        },
      },
    })
    expect(failedCheckOf(makeEvidence(quoted('signed')))).toBeUndefined()
    expect(failedCheckOf(makeEvidence(quoted('sent')))).toBe('tpm2.pcr_digest')
  })
})

describe('a known TPM', () => {
  const before = { clock: 60_000, resetCount: 3, restartCount: 2 }
  const known = (now: Partial<AttestParts>) =>
    failedCheckOf(makeKnownEvidence(changed({ ...before, ...now }), changed(before)))

  test.each<[string | undefined, string, Partial<AttestParts>]>([
    [undefined, 'was not started again and its clock stands', {}],
    [undefined, 'was not started again and its clock went on', { clock: 60_001 }],
    [undefined, 'was reset, which sets the count of restarts to zero', { resetCount: 4, restartCount: 0 }],
    [undefined, 'was restarted', { restartCount: 3 }],
    [
      undefined,
      'lost power, and says that its clock may have gone back',
      { resetCount: 4, restartCount: 0, clock: 59_000, safe: 0 },
    ],
    ['tpm2.reset_count', 'was reset less often', { resetCount: 2 }],
    ['tpm2.reset_count', 'was reset less often, though restarted more often', { resetCount: 2, restartCount: 9 }],
    ['tpm2.restart_count', 'was restarted less often', { restartCount: 1 }],
    [
      'tpm2.clock',
      'has a clock that went back, and says that it did not',
      { resetCount: 4, restartCount: 0, clock: 59_999 },
    ],
    ['tpm2.clock', 'has a clock that went back without a start', { clock: 59_999, safe: 0 }],
    ['tpm2.clock', 'has a clock that went back without a start, and says that it did not', { clock: 59_999 }],
  ])('fails %s: it %s', (check, _, now) => {
    expect(known(now)).toBe(check)
  })

  test.each<[boolean, string, Partial<AttestParts>]>([
    [false, 'it was not', {}],
    [true, 'it was reset', { resetCount: 4, restartCount: 2 }],
    [true, 'it was restarted', { restartCount: 3 }],
  ])('is said to have been started again (%s) when %s', (hasRestarted, _, now) => {
    const { evidence, anchors, expected } = makeKnownEvidence(changed({ ...before, ...now }), changed(before))
    expect(tpm2.parse(evidence).verify(anchors, expected).claims).toMatchObject({ hasRestarted })
  })
})
