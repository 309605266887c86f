import { afterAll, beforeAll, expect, test } from 'vitest'
import { appraiseBundle, parseEvidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { policyDocument } from '../../protocol/attestation/policy.ts'
import { call, establish } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { postAnchors, psaWish } from '../support/attestation-inputs.ts'
import { derBits, derId, derSequence } from '../support/der.ts'
import { expectRefusal } from '../support/refusals.ts'
import type { TestParty } from '../support/rounds.ts'
import { crypto, type TestService } from '../support/service.ts'
import { enterWithTpm, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService, trustTestTpms } from '../support/tpm/service.ts'
import type { SoftwareTpm } from '../support/tpm/software-tpm.ts'

/** Whose key was stolen at a manufacturer is trusted no more: that reaches the devices that are there already, too. */

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

const asAdmin = (method: string, path: string, body?: object) =>
  call(service, method, path, { token: service.adminToken, body })
const attestNow = (party: TestParty, tpm: SoftwareTpm) => attest(service, party, (binding) => [quoteOf(tpm, binding)])

async function removeAnchors(): Promise<string[]> {
  const { items } = (await asAdmin('GET', '/v1/trust-anchors')).body
  for (const { id } of items) await asAdmin('DELETE', `/v1/trust-anchors/${id}`)
  return items.map(({ der: bytes }: { der: string }) => bytes)
}

function authority(bytes: string): object {
  const lines = Buffer.from(bytes, 'base64url').toString('base64')
  return { format: 'tpm2', pem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n` }
}

test('a device whose anchor was removed is quarantined at its next attestation, which can be replayed', async () => {
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  const good = await attestNow(party, tpm)
  expect(good.body.attestation.tier).toBe('affirming')
  service.time.now += 1_000
  const removed = await removeAnchors()
  const bad = await attestNow(party, tpm)
  expect([bad.body.status, bad.body.attestation.tier]).toEqual(['QUARANTINED', 'contraindicated'])
  for (const { body } of [good, bad]) {
    const { id, tier } = body.attestation
    const bundle = parseEvidenceBundle((await asAdmin('GET', `/v1/attestations/${id}/evidence`)).body)
    const again = appraiseBundle(crypto, policyDocument.parse(bundle.result?.policy), bundle)
    expect(again.tier).toBe(tier)
    expect(again.appraisals.tpm2?.findings).toEqual(bundle.result?.findings.tpm2)
    if (tier === 'contraindicated') expect(bundle.result?.findings.tpm2?.[0]?.check).toBe('tpm2.ek_path.anchor')
  }

  // Trusted again, and cleared, it is as before.
  for (const bytes of removed) expect((await postAnchors(service, authority(bytes))).status).toBe(201)
  await asAdmin('POST', `/v1/devices/${party.deviceId}/clear-quarantine`, {})
  const back = { ...party, ...(await establish(service, party)) }
  expect((await attestNow(back, tpm)).body.attestation.tier).toBe('affirming')
})

test('another certificate of the same name is not the one by which it was let in', async () => {
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  await removeAnchors()
  // The authority of the tests signs its root anew each time.
  await trustTestTpms(service)
  expect((await attestNow(party, tpm)).body.attestation.tier).toBe('contraindicated')
})

test('a key that is the point at infinity, for which anybody signs, is none', async () => {
  const infinity = derSequence(
    derSequence(derId('1.2.840.10045.2.1'), derId('1.2.840.10045.3.1.7')),
    derBits(Buffer.of(0)),
  )
  const wish = psaWish()
  const [key] = wish.keys
  const answer = await postAnchors(service, { ...wish, keys: [{ ...key, publicKey: infinity.toString('base64url') }] })
  expectRefusal(answer, 400, 'malformed', 'keys')
})
