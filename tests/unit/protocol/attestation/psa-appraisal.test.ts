import { describe, expect, test } from 'vitest'
import { tierOfVector, toTrustworthinessVector } from '../../../../protocol/attestation/appraisal.ts'
import { findLifecycleName, lifecycleNames } from '../../../../protocol/attestation/formats/psa/lifecycles.ts'
import { psa } from '../../../../protocol/attestation/formats/psa.ts'
import { isVersion, isVersionAtLeast } from '../../../../protocol/attestation/versions.ts'
import type { Json } from '../../../../protocol/encoding.ts'
import {
  enrollingPsa,
  makeToken,
  psaAnchor,
  psaComponent,
  psaEvidence,
  psaImplementationId,
  psaInstanceId,
  psaRelease,
  type TokenChanges,
} from '../../../support/psa.ts'

type Component = (typeof psaRelease.components)[number]
const implementationId = psaImplementationId.toString('hex')
const otherImplementation = '0f'.repeat(32)
const signerId = '51'.repeat(32)
const release = psaRelease
const [spe, nspe] = release.components as [Component, Component]

function appraise(rules: Json = {}, references: readonly Json[] = [release], changes: TokenChanges = {}) {
  const verified = psa.parse(psaEvidence(makeToken(changes))).verify([psaAnchor()], enrollingPsa)
  return verified.appraise(rules, references)
}

/** The values of the findings of one check, in order. */
function valuesOf(check: string, ...given: Parameters<typeof appraise>): number[] {
  return appraise(...given).flatMap((finding) => (finding.check === check ? [finding.value] : []))
}

const tierOf = (...given: Parameters<typeof appraise>) => tierOfVector(toTrustworthinessVector(appraise(...given)))

describe('a verdict', () => {
  test('has a line for everything that is looked at', () => {
    const findings = appraise({ required: [{ type: 'SPE', signerId, minimumVersion: '1.6' }] })
    expect(findings.map(({ check, claim, value }) => [check, claim, value])).toEqual([
      ['psa.instance', 'instance-identity', 2],
      ['psa.client', 'instance-identity', 2],
      ['psa.profile', 'configuration', 2],
      ['psa.lifecycle', 'configuration', 2],
      ['psa.implementation', 'hardware', 2],
      ['psa.component', 'executables', 3],
      ['psa.component', 'executables', 3],
      ['psa.required', 'executables', 3],
    ])
    expect(findings.map(({ detail }) => detail)).toEqual([
      `The token is signed by the key of instance ${psaInstanceId.toString('hex')}.`,
      'Client 1 of the secure side asked for the token; it may come from: secure, non-secure.',
      'The profile is tag:psacertified.org,2023:psa#tfm; allowed: tag:psacertified.org,2023:psa#tfm, http://arm.com/psa/2.0.0, PSA_IOT_PROFILE_1.',
      'The security lifecycle is secured (0x3000); allowed: secured.',
      `Implementation ${implementationId} is known.`,
      `SPE 1.6.0 with measurement ${spe.measurement}, signed by ${signerId}, is in the reference values.`,
      `NSPE 0.1.0 with measurement ${nspe.measurement}, signed by ${signerId}, is in the reference values.`,
      `SPE, signed by ${signerId}, at least 1.6: is there.`,
    ])
    expect(tierOfVector(toTrustworthinessVector(findings))).toBe('affirming')
  })

  test('is the same again', () => {
    expect(appraise()).toEqual(appraise())
  })

  test('of a device of which nothing is known but its key is a warning', () => {
    expect(valuesOf('psa.implementation', {}, [])).toEqual([0])
    expect(tierOf({}, [])).toBe('warning')
  })
})

describe('a lifecycle', () => {
  const inState = (lifecycle: number, lifecycles?: string[]) =>
    valuesOf('psa.lifecycle', lifecycles ? { lifecycles } : {}, [release], { claims: { lifecycle } })

  test.each([0x3000, 0x3001, 0x30ff])('that is secured is approved: %i', (state) => {
    expect(inState(state)).toEqual([2])
  })

  test.each([0x0000, 0x10ff, 0x2000, 0x40ff, 0x5000, 0x6000])('that is not secured is contraindicated: %i', (state) => {
    expect(inState(state)).toEqual([96])
  })

  test('that a policy allows is acceptable, and secured is contraindicated where it does not', () => {
    expect(inState(0x4000, ['secured', 'non-psa-rot-debug'])).toEqual([3])
    expect(inState(0x5000, ['secured', 'non-psa-rot-debug'])).toEqual([96])
    expect(inState(0x3000, ['non-psa-rot-debug'])).toEqual([96])
  })

  test('has one name for each range of RFC 9783', () => {
    const names = lifecycleNames.map((_, index) => [
      findLifecycleName(index * 0x1000),
      findLifecycleName(index * 0x1000 + 0xff),
    ])
    expect(names).toEqual(lifecycleNames.map((name) => [name, name]))
    expect([0x0100, 0x2fff, 0x3100, 0x7000, 0xf000].map(findLifecycleName)).toEqual(Array.from({ length: 5 }))
  })
})

test.each([
  [1, ['secure'], 2],
  [0, ['secure'], 97],
  [-1, ['secure'], 97],
  [1, ['non-secure'], 97],
  [0, ['non-secure'], 2],
  [-1, ['secure', 'non-secure'], 2],
])('a token that client %i asked for, where %j may, has the value %i', (clientId, clients, value) => {
  expect(valuesOf('psa.client', { clients }, [release], { claims: { clientId } })).toEqual([value])
})

test('a profile that a policy does not take is contraindicated', () => {
  const rules = { profiles: ['tag:psacertified.org,2023:psa#tfm'] }
  expect(valuesOf('psa.profile', rules)).toEqual([2])
  expect(valuesOf('psa.profile', rules, [release], { profile: 'legacy' })).toEqual([96])
})

test.each<[string, Json, Json[], number]>([
  ['that a policy names', { implementationIds: [implementationId] }, [], 2],
  ['that a reference value names', { implementationIds: [otherImplementation] }, [release], 2],
  [
    'that neither names',
    { implementationIds: [otherImplementation] },
    [{ ...release, implementationId: otherImplementation }],
    97,
  ],
  ['when reference values name others', {}, [{ ...release, implementationId: otherImplementation }], 97],
])('an implementation %s', (_, rules, references, value) => {
  expect(valuesOf('psa.implementation', rules, references)).toEqual([value])
})

describe('a software component', () => {
  const without = (name: 'type' | 'version') => {
    const { [name]: _, ...rest } = spe
    return rest
  }

  test.each<[string, Json, number]>([
    ['as it is listed', spe, 3],
    ['listed without a type', without('type'), 3],
    ['listed without a version', without('version'), 3],
    ['listed with another measurement', { ...spe, measurement: '00'.repeat(32) }, 33],
    ['listed with another signer', { ...spe, signerId: '00'.repeat(32) }, 33],
    ['listed with another type', { ...spe, type: 'BL' }, 33],
    ['listed with another version', { ...spe, version: '1.6.1' }, 33],
  ])('%s', (_, listed, value) => {
    expect(valuesOf('psa.component', {}, [{ implementationId, components: [listed, nspe] }])).toEqual([value, 3])
  })

  test('may be in any of the reference values of its implementation, and in no other', () => {
    const split = (id: string) => [
      { implementationId, components: [nspe] },
      { implementationId: id, components: [spe] },
    ]
    expect(valuesOf('psa.component', {}, split(implementationId))).toEqual([3, 3])
    expect(valuesOf('psa.component', {}, split(otherImplementation))).toEqual([33, 3])
  })

  test('that is listed nowhere is what the policy says', () => {
    expect(valuesOf('psa.component', { unlisted: 'warning' }, [])).toEqual([33, 33])
    expect(valuesOf('psa.component', { unlisted: 'contraindicated' }, [])).toEqual([96, 96])
    expect(tierOf({ unlisted: 'contraindicated' }, [])).toBe('contraindicated')
  })

  test('that lacks, because nothing is measured, is one that is listed nowhere', () => {
    const changes: TokenChanges = { profile: 'legacy', claims: { components: undefined, noMeasurements: 1 } }
    expect(valuesOf('psa.component', {}, [release], changes)).toEqual([33])
    expect(valuesOf('psa.component', { unlisted: 'contraindicated' }, [release], changes)).toEqual([96])
  })

  test.each<[string, Json, number]>([
    ['is there', { type: 'SPE' }, 3],
    ['is there under this signer', { type: 'SPE', signerId }, 3],
    ['is there in this version', { type: 'SPE', minimumVersion: '1.6.0' }, 3],
    ['is there in a later version', { type: 'SPE', minimumVersion: '1.5.9' }, 3],
    ['is not there', { type: 'BL' }, 96],
    ['is there under another signer', { type: 'SPE', signerId: '00'.repeat(32) }, 96],
    ['is there in an earlier version', { type: 'SPE', minimumVersion: '1.6.1' }, 96],
    ['is one component under this signer and another in this version', { type: 'NSPE', minimumVersion: '1.0' }, 96],
  ])('that is required %s', (_, required, value) => {
    expect(valuesOf('psa.required', { required: [required] })).toEqual([value])
  })

  test('that is required says what was wanted, and why it is not there', () => {
    const findings = appraise({ required: [{ type: 'BL', signerId, minimumVersion: '2' }, { type: 'SPE' }] })
    expect(findings.slice(-2).map(({ detail }) => detail)).toEqual([
      `BL, signed by ${signerId}, at least 2: is required, and not there.`,
      'SPE: is there.',
    ])
  })

  test('that is required in a version has one', () => {
    const claims = { components: [psaComponent({ version: undefined })] }
    expect(
      valuesOf('psa.required', { required: [{ type: 'SPE', minimumVersion: '0' }] }, [release], { claims }),
    ).toEqual([96])
  })
})

test.each([
  ['1.6.0', '1.6.0', true],
  ['1.6', '1.6.0', true],
  ['1.6.0', '1.6', true],
  ['1.10.0', '1.9.9', true],
  ['2', '1.9', true],
  ['1.6.0+12', '1.6.0', true],
  ['1.6.0+12', '1.6.0.1', false],
  ['1.5.9', '1.6.0', false],
  ['0.9', '1', false],
  ['1.6.0-rc1', '1.6.0', false],
  ['v1.6.0', '1.6.0', false],
  ['', '0', false],
  ['+1', '0', false],
  ['1..2', '1', false],
  ['1.2.3.4.5.6.7.8', '1.2.3.4.5.6.7.8', true],
  ['1.2.3.4.5.6.7.7', '1.2.3.4.5.6.7.8', false],
  ['1.2.3.4.5.6.7.8.9', '1', false],
  ['9999999999', '1', false],
  ['1.9999999999', '1', false],
  ['999999999.999999999', '999999999.999999998', true],
])('version %j against at least %j: %j', (version, minimum, isAtLeast) => {
  expect(isVersionAtLeast(version, minimum)).toBe(isAtLeast)
  expect(isVersion(minimum)).toBe(true)
})

test.each<[string, Json]>([
  ['nothing at all', {}],
  ['every lifecycle', { lifecycles: [...lifecycleNames] }],
  ['256 implementations', { implementationIds: Array.from({ length: 256 }, () => implementationId) }],
  ['64 required components', { required: Array.from({ length: 64 }, () => ({ type: 'SPE' })) }],
  ['a type of one character', { required: [{ type: 'S' }] }],
  ['a type of 64 characters', { required: [{ type: 'S'.repeat(64) }] }],
  ['a signer of 48 bytes', { required: [{ type: 'SPE', signerId: '51'.repeat(48) }] }],
  ['a signer of 64 bytes', { required: [{ type: 'SPE', signerId: '51'.repeat(64) }] }],
])('a policy may say %s', (_, rules) => {
  expect(psa.rules.safeParse(rules).success).toBe(true)
})

test.each<[string, Json]>([
  ['64 components', { implementationId, components: Array.from({ length: 64 }, () => spe) }],
  ['a version of one character', { implementationId, components: [{ ...spe, version: '1' }] }],
  ['a version of 64 characters', { implementationId, components: [{ ...spe, version: '1'.repeat(64) }] }],
])('a reference value may have %s', (_, reference) => {
  expect(psa.referenceValue.safeParse(reference).success).toBe(true)
})

describe('of a policy is refused', () => {
  test.each<[string, Json]>([
    ['an unknown rule', { lifecycle: ['secured'] }],
    ['an unknown lifecycle', { lifecycles: ['debug'] }],
    ['no lifecycle at all', { lifecycles: [] }],
    ['an unknown profile', { profiles: ['psa'] }],
    ['no profile at all', { profiles: [] }],
    ['an unknown client', { clients: ['nspe'] }],
    ['an implementation in capitals', { implementationIds: ['0F'.repeat(32)] }],
    ['an implementation of 31 bytes', { implementationIds: ['0f'.repeat(31)] }],
    ['a required version that is none', { required: [{ type: 'SPE', minimumVersion: '1.6.0-rc1' }] }],
    ['a required component without a type', { required: [{ signerId }] }],
    ['a required signer of 20 bytes', { required: [{ type: 'SPE', signerId: '51'.repeat(20) }] }],
    ['257 implementations', { implementationIds: Array.from({ length: 257 }, () => implementationId) }],
    ['no client at all', { clients: [] }],
    ['65 required components', { required: Array.from({ length: 65 }, () => ({ type: 'SPE' })) }],
    ['an empty type', { required: [{ type: '' }] }],
    ['a type of 65 characters', { required: [{ type: 'S'.repeat(65) }] }],
    ['another word for what is unlisted', { unlisted: 'affirming' }],
  ])('%s', (_, rules) => {
    expect(psa.rules.safeParse(rules).success).toBe(false)
  })

  test.each<[string, Json]>([
    ['without an implementation', { components: [spe] }],
    ['without components', { implementationId }],
    ['with no components', { implementationId, components: [] }],
    ['with something else', { ...release, name: 'release' }],
    ['with 65 components', { implementationId, components: Array.from({ length: 65 }, () => spe) }],
    ['with an empty version', { implementationId, components: [{ ...spe, version: '' }] }],
    ['with a version of 65 characters', { implementationId, components: [{ ...spe, version: '1'.repeat(65) }] }],
    ['with a component without a measurement', { implementationId, components: [{ signerId }] }],
    ['with a component without a signer', { implementationId, components: [{ measurement: spe.measurement }] }],
    ['with a measurement of 20 bytes', { implementationId, components: [{ ...spe, measurement: '51'.repeat(20) }] }],
  ])('a reference value %s', (_, reference) => {
    expect(psa.referenceValue.safeParse(reference).success).toBe(false)
  })
})
