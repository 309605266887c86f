import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { androidKeyAttester } from '../../client/android-key-attester.ts'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { appraiseBundle, parseEvidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { policyDocument } from '../../protocol/attestation/policy.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { androidApp, makeChain } from '../support/android-key/evidence.ts'
import type { DescriptionChanges } from '../support/android-key/key-description.ts'
import { call, createToken } from '../support/api.ts'
import { addAnchor, addReferenceValue, authoritiesWish, postCollateral } from '../support/attestation-inputs.ts'
import { derInteger } from '../support/der.ts'
import { createPolicy } from '../support/policies.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { passTime } from '../support/tpm-fleet.ts'

let service: TestService
let policyId: string

beforeAll(async () => {
  service = await startTestService()
  const root = makeChain().at(-1) as Buffer
  await addAnchor(service, { ...authoritiesWish(root), format: 'android-key' })
  await addReferenceValue(service, { format: 'android-key', name: 'app', values: [androidApp] })
  const evidence = { 'android-key': { rules: {}, referenceValues: ['app'] } }
  policyId = (await createPolicy(service, 'phones', { evidence, enroll: ['affirming', 'warning'] })).id
})
afterAll(() => service?.close())

/** Makes a fresh key each time, as a phone does. */
function phone(state: DescriptionChanges) {
  return androidKeyAttester({
    async attest(challenge) {
      const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return makeChain({ leafKey, description: { ...state, challenge } })
    },
  })
}

async function enroll(state: DescriptionChanges) {
  const { token } = await createToken(service, { policyId })
  const store = createMemoryStore()
  const now = () => service.time.now
  const attesters = [phone(state)]
  await enrollDevice({ url: service.url, token, name: 'phone', store, now, attesters })
  return openDevice({ store, now, monotonicNow: now, wait: passTime(service), attesters })
}

test('a phone enrols, attests with a fresh key in each session, and is quarantined when it went back', async () => {
  const state: DescriptionChanges = {}
  const device = await enroll(state)
  expect((await device.status()).attestation).toMatchObject({ status: 'ACTIVE', tier: 'warning', policyId })
  await device.exchange()
  expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'warning' } })
  state.hardware = { 706: derInteger(202_611) }
  expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'warning' } })
  state.hardware = { 706: derInteger(202_610) }
  expect(await device.attest()).toMatchObject({ status: 'QUARANTINED', attestation: { tier: 'contraindicated' } })
})

test('a phone that is attested by another challenge does not enrol', async () => {
  const { token } = await createToken(service, { policyId })
  const other = androidKeyAttester({ attest: async () => makeChain() })
  await expect(
    enrollDevice({
      url: service.url,
      token,
      name: 'phone',
      store: createMemoryStore(),
      now: () => service.time.now,
      attesters: [other],
    }),
  ).rejects.toMatchObject({ code: 'evidence_refused' })
})

test('with the status list it is affirming, each verdict is had again with the list of its time, and a revoked chain is quarantined', async () => {
  const asAdmin = (method: string, path: string, body?: object) =>
    call(service, method, path, { token: service.adminToken, body })
  const list = (entries: object) => ({
    kind: 'android-status-list',
    body: toBase64url(Buffer.from(JSON.stringify({ entries }))),
  })
  const device = await enroll({})
  await device.exchange()
  const results = [await device.attest()]
  service.time.now += 1_000
  expect((await postCollateral(service, list({}))).status).toBe(201)
  results.push(await device.attest())
  service.time.now += 1_000
  const serials = makeChain().map((der) => parseCertificate(der).serialNumber.replace(/^0+/, ''))
  const revoked = Object.fromEntries(serials.map((serial) => [serial, { status: 'REVOKED' }]))
  expect((await postCollateral(service, list(revoked))).status).toBe(201)
  results.push(await device.attest())
  expect(results.map(({ attestation }) => attestation.tier)).toEqual(['warning', 'affirming', 'contraindicated'])
  expect(results.at(-1)?.status).toBe('QUARANTINED')

  const kept = []
  for (const { attestation } of results) {
    const { body } = await asAdmin('GET', `/v1/attestations/${attestation.id}/evidence`)
    const bundle = parseEvidenceBundle(body)
    const again = appraiseBundle(crypto, policyDocument.parse(bundle.result?.policy), bundle)
    expect(again.tier).toBe(attestation.tier)
    expect(again.appraisals['android-key']?.findings).toEqual(bundle.result?.findings['android-key'])
    kept.push(bundle.collateral?.['android-key']?.length ?? 0)
  }
  expect(kept).toEqual([0, 1, 1])
})
