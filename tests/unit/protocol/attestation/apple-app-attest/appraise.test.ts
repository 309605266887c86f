import { describe, expect, test } from 'vitest'
import { appleAppAttest } from '../../../../../protocol/attestation/formats/apple-app-attest.ts'
import type { Json } from '../../../../../protocol/encoding.ts'
import {
  APP_ATTEST_NOW,
  APP_ID,
  appAttestApp,
  assertionEvidence,
  attestationEvidence,
  type DataChanges,
  knownAppAttest,
  makeAssertion,
  makeAttestation,
  systemExtensions,
  verifyAppAttest,
} from '../../../../support/apple-app-attest/evidence.ts'

interface Options {
  data?: DataChanges
  rules?: Record<string, Json>
  references?: Json[]
}
const DAY_MS = 86_400_000

function findings({ data = {}, rules = {}, references = [appAttestApp] }: Options = {}) {
  return verifyAppAttest(attestationEvidence(makeAttestation({ data }))).appraise(rules, references)
}
const valueOf = (check: string, options: Options) =>
  findings(options).find((one) => one.check === `apple-app-attest.${check}`)?.value
const development: DataChanges = { aaguid: Buffer.from('appattestdevelop') }
const said = (category: number, version?: string): DataChanges => ({ extensions: systemExtensions(category, version) })

describe('the findings', () => {
  test('of a device as it should be are affirming, each with its claim', () => {
    const rules = { launchCategories: ['app-store'], maximumAttestationAge: 1 }
    const found = findings({ data: said(4), rules }).map(({ check, claim, value }) => [check, claim, value])
    expect(found).toEqual([
      ['apple-app-attest.identity', 'instance-identity', 2],
      ['apple-app-attest.attestation_age', 'hardware', 2],
      ['apple-app-attest.development', 'configuration', 2],
      ['apple-app-attest.launch_category', 'executables', 2],
      ['apple-app-attest.app', 'executables', 2],
    ])
  })

  test('say what was found, for people', () => {
    const { attester } = verifyAppAttest(attestationEvidence())
    const evidence = assertionEvidence(makeAssertion({ data: { counter: 3, ...said(2, '7.1') } }))
    const later = verifyAppAttest(evidence, knownAppAttest(attester, { now: APP_ATTEST_NOW + 3 * DAY_MS + 1 }))
    const rules = { launchCategories: ['app-store', 'testflight'] }
    const details = later.appraise(rules, [appAttestApp]).map(({ detail }) => detail)
    expect(details).toEqual([
      expect.stringMatching(/^The key [0-9a-f]{64} has signed 3 times\.$/),
      'Apple attested the key 3 days ago; at most: any.',
      'The key is of the production environment.',
      'The app is signed as category 2; allowed: 4 (app-store), 2 (testflight).',
      `${APP_ID}, version 7.1, is in the reference values.`,
    ])
    const [identity, , , app] = findings({ references: [] }).map(({ detail }) => detail)
    expect(identity).toMatch(/ is attested\.$/)
    expect(app).toMatch(/^An app with the hash [0-9a-f]{64}, version unknown, is not in the reference values\.$/)
    const [, , , category] = findings({ rules }).map(({ detail }) => detail)
    expect(category).toContain('category unknown')
  })

  test('have no line of categories without that rule', () => {
    expect(valueOf('launch_category', { data: said(4) })).toBeUndefined()
  })

  test.each<[string, string, number, Options]>([
    ['development', 'the development environment', 96, { data: development }],
    ['development', 'one that is accepted', 3, { data: development, rules: { development: 'accepted' } }],
    ['development', 'production, where both are', 2, { rules: { development: 'accepted' } }],
    [
      'launch_category',
      'a category that is not listed',
      96,
      { data: said(2), rules: { launchCategories: ['app-store'] } },
    ],
    [
      'launch_category',
      'one of those that are',
      2,
      { data: said(2), rules: { launchCategories: ['app-store', 'testflight'] } },
    ],
    ['launch_category', 'a system that does not say it', 96, { rules: { launchCategories: ['app-store'] } }],
    ['app', 'no reference value', 96, { references: [] }],
    ['app', 'no reference value, where that is a warning', 33, { references: [], rules: { unlistedApp: 'warning' } }],
    ['app', 'another app', 96, { references: [{ appId: `${APP_ID}.other` }] }],
    ['app', 'several apps', 2, { references: [{ appId: `${APP_ID}.other` }, appAttestApp] }],
    ['app', 'the least version', 2, { data: said(4, '7.1'), references: [{ ...appAttestApp, minimumVersion: '7.1' }] }],
    ['app', 'an older version', 96, { data: said(4, '7.1'), references: [{ ...appAttestApp, minimumVersion: '7.2' }] }],
    ['app', 'a version that nobody says', 96, { references: [{ ...appAttestApp, minimumVersion: '0' }] }],
    [
      'app',
      'an older version than that of another app',
      2,
      {
        data: said(4, '7.1'),
        references: [
          { appId: `${APP_ID}.other`, minimumVersion: '9' },
          { ...appAttestApp, minimumVersion: '7' },
        ],
      },
    ],
  ])('%s: %s is %i', (check, _, value, options) => {
    expect(valueOf(check, options)).toBe(value)
  })
})

describe('the age of an attestation', () => {
  const { attester } = verifyAppAttest(attestationEvidence())
  const valueAfter = (ms: number, rules: Record<string, Json>) => {
    const later = verifyAppAttest(assertionEvidence(), knownAppAttest(attester, { now: APP_ATTEST_NOW + ms }))
    return later.appraise(rules, [appAttestApp]).find(({ check }) => check.endsWith('.attestation_age'))?.value
  }
  test('is looked at where the policy says so, and is then a warning or contraindicated', () => {
    expect(valueAfter(3650 * DAY_MS, {})).toBe(2)
    expect(valueAfter(30 * DAY_MS, { maximumAttestationAge: 30 })).toBe(2)
    expect(valueAfter(30 * DAY_MS + 1, { maximumAttestationAge: 30 })).toBe(32)
    expect(valueAfter(30 * DAY_MS + 1, { maximumAttestationAge: 30, outdated: 'contraindicated' })).toBe(96)
  })
})

describe('what a policy and its reference values may say', () => {
  test.each<[string, Record<string, Json>]>([
    ['a rule that there is not', { receipts: true }],
    ['no category', { launchCategories: [] }],
    ['a category that there is not', { launchCategories: ['sideloaded'] }],
    ['no day', { maximumAttestationAge: 0 }],
    ['too many days', { maximumAttestationAge: 3651 }],
  ])('is not %s', (_, rules) => {
    expect(appleAppAttest.rules.safeParse(rules).success).toBe(false)
  })

  test.each<[string, Json]>([
    ['without a prefix', { appId: 'org.example.edge' }],
    ['with a prefix in small letters', { appId: 'abcde12345.org.example.edge' }],
    ['with something in front', { appId: ` ${APP_ID}` }],
    ['with something behind', { appId: `${APP_ID} ` }],
    ['with a version that is none', { ...appAttestApp, minimumVersion: 'seven' }],
    ['with another member', { ...appAttestApp, teamId: 'ABCDE12345' }],
  ])('is no App ID %s', (_, value) => {
    expect(appleAppAttest.referenceValue.safeParse(value).success).toBe(false)
  })
})
