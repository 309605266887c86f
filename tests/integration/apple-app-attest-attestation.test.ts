import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { appleAppAttestAttester } from '../../client/apple-app-attest-attester.ts'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { appraiseBundle, parseEvidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { policyDocument } from '../../protocol/attestation/policy.ts'
import { call, createToken } from '../support/api.ts'
import {
  appAttestApp,
  appAttestRoot,
  type DataChanges,
  makeAssertion,
  makeAttestation,
} from '../support/apple-app-attest/evidence.ts'
import { addAnchor, addReferenceValue, authoritiesWish } from '../support/attestation-inputs.ts'
import { createPolicy } from '../support/policies.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { passTime } from '../support/tpm-fleet.ts'
import type { KeyPair } from '../support/x509-signing.ts'

let service: TestService
let policyId: string
let anchorId: string

beforeAll(async () => {
  service = await startTestService()
  anchorId = await addRoot()
  await addReferenceValue(service, { format: 'apple-app-attest', name: 'app', values: [appAttestApp] })
  const evidence = { 'apple-app-attest': { rules: {}, referenceValues: ['app'] } }
  policyId = (await createPolicy(service, 'iphones', { evidence, enroll: ['affirming'] })).id
})
afterAll(() => service?.close())

const addRoot = () => addAnchor(service, { ...authoritiesWish(appAttestRoot.der), format: 'apple-app-attest' })
const asAdmin = (method: string, path: string) => call(service, method, path, { token: service.adminToken })

/** Of an app: the key of its last attestation, and how often that has signed. */
interface Phone {
  key?: KeyPair | undefined
  counter: number
  data?: DataChanges
}

/** Has a new key attested where there is none, and signs with it from then on. */
function attesterOf(phone: Phone) {
  return appleAppAttestAttester({
    async attest(binding) {
      const { data = {} } = phone
      if (phone.key !== undefined) {
        phone.counter++
        return { assertion: makeAssertion({ key: phone.key, binding, data: { counter: phone.counter, ...data } }) }
      }
      phone.key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      phone.counter = 0
      return { attestation: makeAttestation({ key: phone.key, binding, data }) }
    },
  })
}

async function enroll(phone: Phone) {
  const { token } = await createToken(service, { policyId })
  const store = createMemoryStore()
  const now = () => service.time.now
  const attesters = [attesterOf(phone)]
  await enrollDevice({ url: service.url, token, name: 'iphone', store, now, attesters })
  return openDevice({ store, now, monotonicNow: now, wait: passTime(service), attesters })
}

test('a device enrols with an attestation, signs from then on, and is quarantined by a count that does not grow', async () => {
  const phone: Phone = { counter: 0 }
  const device = await enroll(phone)
  expect((await device.status()).attestation).toMatchObject({ status: 'ACTIVE', tier: 'affirming', policyId })
  await device.exchange()
  for (let times = 0; times < 2; times++) {
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
  }
  phone.data = { counter: 2 }
  const { status, attestation } = await device.attest()
  expect([status, attestation.tier]).toEqual(['QUARANTINED', 'contraindicated'])

  const { body } = await asAdmin('GET', `/v1/attestations/${attestation.id}/evidence`)
  const bundle = parseEvidenceBundle(body)
  const again = appraiseBundle(crypto, policyDocument.parse(bundle.result?.policy), bundle)
  expect(again.appraisals['apple-app-attest']?.findings).toMatchObject([
    { check: 'apple-app-attest.assertion_counter' },
  ])
})

test('a device that lost its key goes on with the attestation of a new one', async () => {
  const phone: Phone = { counter: 0 }
  const device = await enroll(phone)
  await device.exchange()
  phone.key = undefined
  for (let times = 0; times < 2; times++) {
    expect(await device.attest()).toMatchObject({ status: 'ACTIVE', attestation: { tier: 'affirming' } })
  }
})

test('an assertion holds as long as the root is trusted by which its key is known', async () => {
  const device = await enroll({ counter: 0 })
  await device.exchange()
  expect((await asAdmin('DELETE', `/v1/trust-anchors/${anchorId}`)).status).toBe(204)
  expect(await device.attest()).toMatchObject({ status: 'QUARANTINED', attestation: { tier: 'contraindicated' } })
  anchorId = await addRoot()
})

test('a device does not enrol with an assertion, or with the attestation of another challenge', async () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await expect(enroll({ key, counter: 0 })).rejects.toMatchObject({ code: 'evidence_refused' })
  await expect(enroll({ counter: 0, data: { counter: 1 } })).rejects.toMatchObject({ code: 'evidence_refused' })
})
