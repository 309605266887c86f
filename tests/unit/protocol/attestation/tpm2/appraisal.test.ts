import { describe, expect, test } from 'vitest'
import { tierOfVector, toTrustworthinessVector } from '../../../../../protocol/attestation/appraisal.ts'
import { tpm2 } from '../../../../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import { derTime } from '../../../../support/der.ts'
import { testTpmModel } from '../../../../support/tpm/ek-authority.ts'
import {
  type EvidenceOptions,
  makeEvidence,
  makeKnownEvidence,
  pcrsAfter,
  type TestEvidence,
  testEvents,
  testPcrs,
  toText,
  verifyEvidence,
} from '../../../../support/tpm/evidence.ts'
import { hashOf } from '../../../../support/tpm/structures.ts'
import { testExtensions } from '../../../../support/x509.ts'

const values = testPcrs.sha256 ?? {}
const allowing = (...pcrs: string[]): Json => {
  return { pcrs: { sha256: Object.fromEntries(pcrs.map((pcr) => [pcr, [values[pcr] as string]])) } }
}
const boot = allowing('0', '2', '4', '7')
const CERTIFIED_FIRMWARE = '2019102300163636'

function findingsOf(evidence: TestEvidence, rules: Record<string, Json>, references: readonly Json[] = [boot]) {
  const findings = verifyEvidence(evidence).appraise(tpm2.rules.parse(rules), references)
  const vector = toTrustworthinessVector(findings)
  return { findings, vector, tier: tierOfVector(vector) }
}

const verdict = (rules: Record<string, Json>, references?: readonly Json[], options: EvidenceOptions = {}) =>
  findingsOf(makeEvidence(options), rules, references)

const affirming = { 'instance-identity': 2, hardware: 2, executables: 3 }

describe('a TPM whose PCRs have values that are allowed', () => {
  test('is affirming, line by line', () => {
    const { findings, vector, tier } = verdict({})
    expect(findings.map(({ check }) => check)).toEqual(['tpm2.identity', 'tpm2.hardware', 'tpm2.pcrs'])
    expect(vector).toEqual(affirming)
    expect(tier).toBe('affirming')
    expect(findings.map(({ detail }) => detail)).toEqual([
      expect.stringMatching(/^The TPM with the EK [0-9a-f]{64} holds the AK 000b[0-9a-f]{64}\.$/),
      'The manufacturer of the TPM is id:00001014, its firmware 2019102300163636.',
      'PCR 0, 2, 4, 7 (sha256) have values that reference values allow.',
    ])
  })

  test.each<[string, Record<string, Json>, readonly Json[]]>([
    ['one value each', {}, [allowing('0', '2'), allowing('4', '7')]],
    [
      'one of several values',
      {},
      [{ pcrs: { sha256: { 0: ['00'.repeat(32), values['0'] as string] } } }, allowing('2', '4', '7')],
    ],
    ['the values of fewer PCRs', { pcrs: [7] }, [allowing('7')]],
    [
      'all of them together, whatever order the rules have',
      { pcrs: [7, 0] },
      [{ pcrDigests: { sha256: [digestOf('0', '7')] } }],
    ],
    ['more than is asked', { pcrs: [0] }, [boot, { pcrDigests: { sha256: ['00'.repeat(32)] } }]],
  ])('is affirming when reference values allow %s', (_, rules, references) => {
    expect(verdict(rules, references).vector).toEqual(affirming)
  })

  test('is of the bank that the rules name', () => {
    const pcrs = pcrsAfter(testEvents, ['sha384'])
    const references = [{ pcrs: { sha384: { 0: [pcrs.sha384?.['0'] as string] } } }]
    const rules = { bank: 'sha384', pcrs: [0] }
    expect(verdict(rules, references, { quote: { pcrs } }).vector).toEqual(affirming)
    expect(verdict(rules, [allowing('0')], { quote: { pcrs } }).tier).toBe('contraindicated')
  })
})

function digestOf(...pcrs: string[]): string {
  return hashOf('sha256', ...pcrs.map((pcr) => Buffer.from(values[pcr] as string, 'hex'))).toString('hex')
}

describe('a PCR with another value', () => {
  test.each<[string, readonly Json[]]>([
    ['no reference value is known', []],
    ['one PCR is in none', [allowing('0', '2', '4')]],
    [
      'one PCR has the value of another',
      [allowing('0', '2', '4'), { pcrs: { sha256: { 7: [values['0'] as string] } } }],
    ],
    ['one PCR is allowed in another bank', [allowing('0', '2', '4'), { pcrs: { sha384: { 7: ['00'.repeat(48)] } } }]],
    ['all of them together are others', [{ pcrDigests: { sha256: [digestOf('0', '2', '4')] } }]],
  ])('is contraindicated when %s', (_, references) => {
    expect(verdict({}, references)).toMatchObject({ tier: 'contraindicated', vector: { executables: 96 } })
  })

  test('is named with what was found', () => {
    const { findings } = verdict({}, [allowing('0', '2', '4')])
    expect(findings.filter(({ check }) => check === 'tpm2.pcrs')).toEqual([
      {
        check: 'tpm2.pcrs',
        claim: 'executables',
        value: 96,
        detail: `No reference value allows ${values['7']} in PCR 7 (sha256).`,
      },
    ])
  })

  test('is a warning where the rules say so', () => {
    const { vector, tier } = verdict({ otherValues: 'warning' }, [])
    expect(vector).toEqual({ ...affirming, executables: 33 })
    expect(tier).toBe('warning')
  })
})

describe('a PCR that is not quoted', () => {
  test.each<[string, Record<string, Json>, string]>([
    ['one of several', { pcrs: [0, 9, 16] }, 'Not quoted in bank sha256: PCR 9, 16.'],
    ['the whole bank', { bank: 'sha384', pcrs: [0] }, 'Not quoted in bank sha384: PCR 0.'],
  ])('is contraindicated, even where other values are a warning: %s', (_, rules, detail) => {
    const { findings, tier } = verdict({ ...rules, otherValues: 'warning' })
    expect(findings).toContainEqual({ check: 'tpm2.pcr_selection', claim: 'executables', value: 96, detail })
    expect(tier).toBe('contraindicated')
  })

  test.each([[{ pcrs: [] }], [{ bank: 'sha384', pcrs: [] }]])(
    'says nothing where the rules ask for none: %j',
    (rules) => {
      expect(verdict(rules, []).vector).toEqual({ 'instance-identity': 2, hardware: 2 })
    },
  )
})

describe('an event log', () => {
  const eventLog = testEvents.map(({ pcr, text }) => ({ pcr, eventData: toText(Buffer.from(text)) }))
  const without7 = eventLog.filter(({ pcr }) => pcr !== 7)
  const unexplained = (pcrs: string) => {
    return {
      check: 'tpm2.unexplained_pcrs',
      claim: 'executables',
      value: 96,
      detail: `No event log explains PCR ${pcrs} (sha256).`,
    }
  }

  test('that is asked for explains the PCRs of the rules, or is contraindicated', () => {
    const rules = { eventLog: [0, 1, 7] }
    expect(verdict(rules, [boot], { members: { eventLog } }).vector).toEqual(affirming)
    expect(verdict(rules, [boot], { members: { eventLog: without7 } }).findings).toContainEqual(unexplained('7'))
    expect(verdict(rules, [boot]).findings).toContainEqual(unexplained('0, 1, 7'))
    expect(verdict({ ...rules, bank: 'sha384', pcrs: [] }, [], { members: { eventLog } }).tier).toBe('contraindicated')
  })

  test('that is not asked for need not explain anything', () => {
    expect(verdict({}, [boot], { members: { eventLog: without7 } }).vector).toEqual(affirming)
  })
})

describe('the hardware', () => {
  const { manufacturer } = testTpmModel
  const tpms = (minimumFirmware?: string) => [
    { manufacturer: 'id:49465800' },
    { manufacturer, ...(minimumFirmware !== undefined && { minimumFirmware }) },
  ]

  test.each<[string, Json, number]>([
    ['of a manufacturer that is named', tpms(), 2],
    ['with the firmware that is asked for', tpms(CERTIFIED_FIRMWARE), 2],
    ['with a firmware below it', tpms('2019102300163637'), 96],
    [
      'with a firmware below it, where the manufacturer is named without one too',
      [{ manufacturer }, ...tpms('2019102300163637')],
      96,
    ],
    ['of a manufacturer that is not named', [{ manufacturer: 'id:49465800' }], 97],
    ['of any manufacturer where none is named', [], 97],
  ])('%s', (_, allowed, hardware) => {
    expect(verdict({ tpms: allowed }).vector).toEqual({ ...affirming, hardware })
  })

  test('of a TPM that does not say whose it is is none that is named', () => {
    const { vector } = verdict({ tpms: tpms() }, [boot], { certificates: { leaf: { extensions: withoutNames() } } })
    expect(vector.hardware).toBe(97)
  })
})

function withoutNames() {
  const { basicConstraints, keyUsage, extendedKeyUsage } = testExtensions
  return [basicConstraints(false), keyUsage('keyAgreement'), extendedKeyUsage('2.23.133.8.1')]
}

describe('a device that was started again', () => {
  const known = (resetCount: number) => makeKnownEvidence({ quote: { changes: { resetCount } } })

  test('is accepted, or a warning where the rules say so', () => {
    expect(findingsOf(known(4), {}).vector).toEqual(affirming)
    expect(findingsOf(known(3), { restarts: 'warning' }).vector).toEqual(affirming)
    const { vector, findings, tier } = findingsOf(known(4), { restarts: 'warning' })
    expect(vector).toEqual({ ...affirming, configuration: 36 })
    expect(tier).toBe('warning')
    expect(findings.map(({ detail }) => detail)).toContain('The device was started again: reset 4, restart 0.')
  })
})

describe('certificates that have expired since', () => {
  const notAfter = Date.UTC(2026, 11, 31)
  const later = (now: number) => {
    const known = makeKnownEvidence({}, { certificates: { leaf: { notAfter: derTime(notAfter) } } })
    return { ...known, expected: { ...known.expected, now } }
  }

  test('are accepted, or contraindicated where the rules say so', () => {
    const rules = { expiredCertificates: 'contraindicated' }
    expect(findingsOf(later(notAfter + 1), {}).vector).toEqual(affirming)
    expect(findingsOf(later(notAfter), rules).vector).toEqual(affirming)
    const { vector, findings } = findingsOf(later(notAfter + 1), rules)
    expect(vector).toEqual({ ...affirming, hardware: 97 })
    expect(findings.map(({ detail }) => detail)).toContain(
      'The EK certificate, or one above it, was valid until 2026-12-31T00:00:00.000Z.',
    )
  })
})

describe('rules and reference values', () => {
  test.each<[string, Json]>([
    ['an unknown rule', { firmware: 1 }],
    ['PCR 24', { pcrs: [24] }],
    ['a PCR that is none', { eventLog: [-1] }],
    ['SHA-1', { bank: 'sha1' }],
    ['a manufacturer in words', { tpms: [{ manufacturer: 'IFX' }] }],
    ['firmware in decimal points', { tpms: [{ manufacturer: 'id:49465800', minimumFirmware: '7.62' }] }],
  ])('may not say %s', (_, rules) => {
    expect(tpm2.rules.safeParse(rules).success).toBe(false)
  })

  test.each<[string, Json]>([
    ['an unknown member', { sha256: {} }],
    ['values of another length', { pcrs: { sha256: { 0: ['00'] } } }],
    ['values in upper case', { pcrs: { sha256: { 0: ['AB'.repeat(32)] } } }],
    ['PCR 24', { pcrs: { sha256: { 24: [] } } }],
    ['digests of another length', { pcrDigests: { sha384: ['00'.repeat(32)] } }],
  ])('may not hold %s', (_, reference) => {
    expect(tpm2.referenceValue.safeParse(reference).success).toBe(false)
  })

  test('give the same findings for the same inputs', () => {
    const [one, other] = [makeEvidence(), makeEvidence()].map((evidence) => findingsOf(evidence, {}))
    expect(one).toEqual(other)
  })
})
