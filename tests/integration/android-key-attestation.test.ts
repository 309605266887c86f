import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { androidKeyAttester } from '../../client/android-key-attester.ts'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { androidApp, makeChain } from '../support/android-key/evidence.ts'
import type { DescriptionChanges } from '../support/android-key/key-description.ts'
import { createToken } from '../support/api.ts'
import { addAnchor, addReferenceValue, authoritiesWish } from '../support/attestation-inputs.ts'
import { derInteger } from '../support/der.ts'
import { createPolicy } from '../support/policies.ts'
import { startTestService, type TestService } from '../support/service.ts'
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
