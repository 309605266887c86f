import { describe, expect, test } from 'vitest'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import {
  androidEvidence,
  androidName,
  androidRoot,
  type ChainChanges,
  enrollingAndroid,
  makeChain,
  makeIdentity,
  strongBoxNames,
} from '../../../../support/android-key/evidence.ts'
import { derId, derSequence, derSet, derText } from '../../../../support/der.ts'

const withEmptyAttributes = derSequence(
  derSet(derSequence()),
  derSet(derSequence(derId('2.5.4.12'))),
  derSet(derSequence(derId('2.5.4.12'), derText('StrongBox'))),
)
const strongBox = { keyMintLevel: 2, attestationLevel: 2 }
const inStrongBox = { attestationVersion: 500, ...strongBox }

function isCertified(names: ChainChanges['names'], identityNames?: ChainChanges['names']): unknown {
  const { chain, identityKey } = makeIdentity({
    description: strongBox,
    ...(identityNames && { names: identityNames }),
  })
  const fresh = makeChain({ description: inStrongBox, ...(names && { names }) })
  const parsed = androidKey.parse(androidEvidence(fresh, identityNames && chain))
  const { claims } = parsed.verify([androidRoot()], { ...enrollingAndroid, identityKey })
  return (claims as { certifiedStrongBox: boolean }).certifiedStrongBox
}

describe('a StrongBox is one', () => {
  test.each<[string, ChainChanges['names'], boolean]>([
    ['when the factory certified it as one', strongBoxNames, true],
    [
      'when Google certified it as one',
      {
        intermediate: androidName({ O: 'Google LLC', CN: 'Droid CA3' }),
        batch: androidName({ CN: 'a1b2', O: 'StrongBox' }),
      },
      true,
    ],
    ['whatever stands below what is one', { ...strongBoxNames, batch: 'Batch' }, true],
    ['not when nobody says so', undefined, false],
    [
      'not when a key of a TEE of the factory certified it',
      { intermediate: androidName({ title: 'TEE' }), batch: androidName({ title: 'StrongBox', O: 'StrongBox' }) },
      false,
    ],
    ['not when a key without a title certified it', { batch: androidName({ title: 'StrongBox' }) }, false],
    [
      'not when Google certified a TEE',
      {
        intermediate: androidName({ O: 'Google LLC', CN: 'Droid CA3' }),
        batch: androidName({ CN: 'StrongBox', O: 'TEE' }),
      },
      false,
    ],
    [
      'not when there is nothing but Google above it',
      {
        intermediate: androidName({ O: 'Google LLC', title: 'StrongBox' }),
        batch: androidName({ O: 'Google LLC', title: 'StrongBox' }),
      },
      false,
    ],
    ['whatever empty attributes are there too', { ...strongBoxNames, intermediate: withEmptyAttributes }, true],
    ['not by its common name', { intermediate: 'StrongBox', batch: 'StrongBox' }, false],
  ])('%s', (_, names, expected) => {
    expect(isCertified(names)).toBe(expected)
  })

  test('not when the root itself certified the key', () => {
    const [leaf, ...above] = makeChain({ description: strongBox, names: strongBoxNames })
    const batch = { lookupId: '', kind: 'root' as const, der: above[0] as Buffer }
    const { claims } = androidKey.parse(androidEvidence([leaf as Buffer, ...above])).verify([batch], enrollingAndroid)
    expect(claims).toMatchObject({ keyMintSecurityLevel: 'strongbox', certifiedStrongBox: false })
  })

  test('only when it is of all keys', () => {
    expect(isCertified(strongBoxNames, strongBoxNames)).toBe(true)
    expect(isCertified(strongBoxNames, {})).toBe(false)
    expect(isCertified({}, strongBoxNames)).toBe(false)
  })
})
