import { describe, expect, test } from 'vitest'
import type { Collateral } from '../../../../../protocol/attestation/evidence-format.ts'
import { androidKey } from '../../../../../protocol/attestation/formats/android-key.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import {
  ANDROID_NOW,
  androidApp,
  androidEvidence,
  androidRoot,
  androidStatusList,
  enrollingAndroid,
  makeChain,
  makeIdentity,
} from '../../../../support/android-key/evidence.ts'
import { type DescriptionChanges } from '../../../../support/android-key/key-description.ts'

interface Given {
  rules?: Json
  references?: Json[]
  collateral?: Collateral[]
}

/** Of each check its value; of several of one name the worst. */
function valuesOf(description: DescriptionChanges = {}, given: Given = {}): Record<string, number> {
  const { rules = {}, references = [androidApp], collateral = [androidStatusList()] } = given
  const parsed = androidKey.parse(androidEvidence(makeChain({ description })))
  const findings = parsed.verify([androidRoot()], enrollingAndroid, collateral).appraise(rules, references)
  expect(findings.every(({ detail }) => detail.endsWith('.'))).toBe(true)
  const values: Record<string, number> = {}
  for (const { check, value } of findings) values[check] = Math.max(value, values[check] ?? 0)
  return values
}

describe('the status list', () => {
  const HOUR_MS = 3_600_000
  const revocation = (collateral: Collateral[], rules: Json = {}) =>
    valuesOf({}, { collateral, rules })['android-key.revocation']
  const listed = (serial: string, status = 'REVOKED') => [
    androidStatusList({ [serial]: { status, reason: 'KEY_COMPROMISE' } }),
  ]

  test.each([
    ['of the batch', 'ba7c4'],
    ['of the intermediate', '1234'],
    ['of the root', '4007'],
    ['of the leaf', '1'],
  ])('contraindicates whoever has a certificate on it: %s', (_, serial) => {
    expect(revocation(listed(serial))).toBe(96)
    expect(revocation(listed(serial, 'SUSPENDED'))).toBe(96)
  })

  test('is looked up for a root that is known and did not come along', () => {
    const parsed = androidKey.parse(androidEvidence(makeChain().slice(0, -1)))
    const { claims } = parsed.verify([androidRoot()], enrollingAndroid, listed('4007'))
    expect(claims).toMatchObject({
      statusList: {
        listAgeMs: HOUR_MS,
        revoked: [{ serialNumber: '4007', status: 'REVOKED', reason: 'KEY_COMPROMISE' }],
      },
    })
  })

  test('is looked up for the chain of an identity key', () => {
    const { chain, identityKey } = makeIdentity({ batch: { serialNumber: 0xdead } })
    const parsed = androidKey.parse(androidEvidence(makeChain({ description: { attestationVersion: 500 } }), chain))
    const verified = parsed.verify([androidRoot()], { ...enrollingAndroid, identityKey }, listed('dead'))
    expect(verified.claims).toMatchObject({ statusList: { revoked: [{ serialNumber: 'dead' }] } })
  })

  test('says without leading zeros what a certificate has with them', () => {
    const batch = { serialNumber: 0x8f }
    const parsed = androidKey.parse(androidEvidence(makeChain({ batch })))
    const { claims } = parsed.verify([androidRoot()], enrollingAndroid, listed('8f'))
    expect(claims).toMatchObject({ statusList: { revoked: [{ serialNumber: '8f' }] } })
  })

  test('that names nobody here is good', () => {
    expect(revocation(listed('ba7c'))).toBe(2)
  })

  test('is out of date two days after it was fetched, unless the policy says otherwise', () => {
    const fetched = (hours: number, moreMs = 0) => [
      androidStatusList({}, { fetchedAt: ANDROID_NOW - hours * HOUR_MS - moreMs }),
    ]
    expect(revocation(fetched(48))).toBe(2)
    expect(revocation(fetched(48, 1))).toBe(33)
    expect(revocation(fetched(48, 1), { maximumListAge: 49 })).toBe(2)
    expect(revocation(fetched(2), { maximumListAge: 1, collateral: 'contraindicated' })).toBe(96)
    expect(revocation(fetched(2), { maximumListAge: 1, collateral: 'accepted' })).toBe(2)
  })

  test('revokes even when it is out of date', () => {
    const old = androidStatusList({ 1234: { status: 'REVOKED' } }, { fetchedAt: 0 })
    expect(revocation([old], { collateral: 'accepted' })).toBe(96)
  })

  test('that lacks is what the policy says', () => {
    expect(revocation([])).toBe(33)
    expect(revocation([], { collateral: 'contraindicated' })).toBe(96)
    expect(revocation([], { collateral: 'accepted' })).toBe(2)
  })

  test('that counts is the newest one of before now, of its kind and name', () => {
    const [good] = [androidStatusList({}, { fetchedAt: ANDROID_NOW - 1000 })]
    const older = androidStatusList({ 1234: { status: 'REVOKED' } }, { fetchedAt: ANDROID_NOW - 2000 })
    expect(revocation([older, good])).toBe(2)
    expect(revocation([good, older])).toBe(2)
    expect(revocation([{ ...good, issuedAt: ANDROID_NOW + 1 }])).toBe(33)
    expect(revocation([{ ...good, kind: 'crl' }])).toBe(33)
    expect(revocation([{ ...good, lookupId: 'android-status-list:other' }])).toBe(33)
    expect(revocation([{ ...good, issuedAt: ANDROID_NOW }])).toBe(2)
  })

  test('is read once for as long as it is the same', () => {
    const list = androidStatusList({ 1234: { status: 'REVOKED' } })
    expect(revocation([list])).toBe(96)
    list.body.fill(0)
    expect(revocation([list])).toBe(96)
  })
})
