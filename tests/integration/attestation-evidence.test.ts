import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tierOfVector, toTrustworthinessVector } from '../../protocol/attestation/appraisal.ts'
import { appraiseBundle, parseEvidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { policyDocument } from '../../protocol/attestation/policy.ts'
import { fromBase64url } from '../../protocol/encoding.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { rotate } from '../support/identity-rotation.ts'
import { expectRefusal } from '../support/refusals.ts'
import { enterService, makeFederation } from '../support/rounds.ts'
import { crypto, type TestService } from '../support/service.ts'
import { makeApiToken } from '../support/tenants.ts'
import { createTpmPolicy, enterWithTpm, otherPcrs, quoteOf } from '../support/tpm/device.ts'
import { newTpm, startTpmService, trustTestTpms } from '../support/tpm/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTpmService()
})
afterAll(() => service.close())

const asAdmin = (path: string) => call(service, 'GET', path, { token: service.adminToken })

async function listAll(): Promise<{ id: string; tier: string; findings: object }[]> {
  return (await asAdmin('/v1/attestations?limit=200')).body.items
}

/** Every trust anchor and reference value is removed. */
async function forgetInputs(): Promise<void> {
  for (const path of ['/v1/trust-anchors', '/v1/reference-values']) {
    const { items } = (await asAdmin(path)).body
    expect(items).not.toEqual([])
    for (const { id } of items) {
      expect((await call(service, 'DELETE', `${path}/${id}`, { token: service.adminToken })).status).toBe(204)
    }
  }
}

describe('the evidence of a result', () => {
  test('gives the same tier, vector and findings later, whatever became of anchors, values and policies', async () => {
    const [good, bad, restarted] = [newTpm(), newTpm(), newTpm()]
    const parties = [
      await enterWithTpm(service, good, 'edge'),
      await enterWithTpm(service, bad, 'edge'),
      await enterWithTpm(service, restarted, 'edge'),
    ] as const
    await attest(service, parties[0], (binding) => [quoteOf(good, binding)])
    await attest(service, parties[1], (binding) => [quoteOf(bad, binding, { pcrs: otherPcrs })])
    await attest(service, parties[2], () => [quoteOf(restarted, new Uint8Array(32))])
    await rotate(service, await enterService(service))
    const before = await listAll()
    expect(new Set(before.map(({ tier }) => tier))).toEqual(new Set(['affirming', 'contraindicated', 'none']))

    service.time.now += 1_000
    await forgetInputs()
    await createTpmPolicy(service, 'edge', { evidence: { tpm2: { rules: { pcrs: [] } } }, enroll: ['warning'] })
    service.time.now += 60_000

    expect(await listAll()).toEqual(before)
    for (const { id, tier, findings } of before) {
      const { status, body } = await asAdmin(`/v1/attestations/${id}/evidence`)
      expect(status).toBe(200)
      const bundle = parseEvidenceBundle(body)
      const appraised = appraiseBundle(crypto, policyDocument.parse(bundle.result?.policy), bundle)
      const again = Object.fromEntries(
        Object.entries(appraised.appraisals).map(([format, appraisal]) => [format, appraisal.findings]),
      )
      expect([appraised.tier, again]).toEqual([tier, findings])
      expect(bundle.result).toMatchObject({ tier, findings })
      const ear = JSON.parse(atob(((await asAdmin(`/v1/attestations/${id}/ear`)).body as string).split('.')[1] ?? ''))
      for (const [format, lines] of Object.entries(again)) {
        const vector = toTrustworthinessVector(lines)
        expect(ear.submods[format].ear_trustworthiness_vector ?? {}).toEqual(vector)
        expect(ear.submods[format].ear_status).toBe(tierOfVector(vector))
      }
    }
  })

  test('says of an enrolment which secret was opened, and nowhere which one was asked for', async () => {
    await trustTestTpms(service)
    const { deviceId } = await enterWithTpm(service, newTpm(), 'edge@1')
    const { id } = (await asAdmin(`/v1/attestations?deviceId=${deviceId}`)).body.items[0]
    const { body } = await asAdmin(`/v1/attestations/${id}/evidence`)
    const { attesters, evidence } = body
    expect(attesters.tpm2).toMatchObject({ kind: 'enrolling', activation: { secretHash: expect.any(String) } })
    expect(JSON.stringify({ ...body, evidence: [] })).not.toContain(evidence[0].activatedSecret)
    // What says that another secret had been asked for fails as it would have then.
    const other = { ...attesters.tpm2.activation, secretHash: body.binding }
    const bundle = parseEvidenceBundle({ ...body, attesters: { tpm2: { kind: 'enrolling', activation: other } } })
    expect(appraiseBundle(crypto, policyDocument.parse(body.result.policy), bundle).tier).toBe('contraindicated')
  })

  test('of a release that did not keep it is not there', async () => {
    const { deviceId } = await enterService(service)
    await service.database.sql.query('update evidence set binding = null, attesters = null where principal_id = $1', [
      deviceId,
    ])
    const { id } = (await asAdmin(`/v1/attestations?deviceId=${deviceId}`)).body.items[0]
    expect((await asAdmin(`/v1/attestations/${id}`)).status).toBe(200)
    expectRefusal(await asAdmin(`/v1/attestations/${id}/evidence`), 404, 'not_found')
  })
})

describe('results', () => {
  test('are listed newest first, by device and by tier, and each verifies with the published keys alone', async () => {
    const party = await enterService(service)
    await attest(service, party)
    const { items } = (await asAdmin(`/v1/attestations?deviceId=${party.deviceId}`)).body
    expect(items).toMatchObject([
      { deviceId: party.deviceId, sessionId: party.sessionId, tier: 'none', policyId: 'none', findings: { none: [] } },
      { deviceId: party.deviceId, sessionId: null, tier: 'none' },
    ])
    expect((await asAdmin(`/v1/attestations/${items[0].id}`)).body).toEqual(items[0])
    for (const tier of ['none', 'affirming', 'warning', 'contraindicated']) {
      const found = (await asAdmin(`/v1/attestations?tier=${tier}&limit=200`)).body.items
      expect(found).toEqual((await listAll()).filter((one) => one.tier === tier))
    }
    expectRefusal(await asAdmin('/v1/attestations?tier=splendid'), 400, 'malformed', 'tier')
    const { status, body, headers } = await asAdmin(`/v1/attestations/${items[0].id}/ear`)
    expect([status, headers.get('content-type')]).toEqual([200, 'application/eat+jwt'])
    const [key] = (await call(service, 'GET', '/.well-known/jwks.json')).body.keys
    const signer = crypto.importVerificationKey('ML-DSA-44', fromBase64url(key.pub))
    expect(verifyJws(crypto, body, signer)).toMatchObject({ ear_status: 'none' })
    expectRefusal(await asAdmin(`/v1/attestations/${newId()}/ear`), 404, 'not_found')
  })

  test('of its members are all that a coordinator sees, in its session or with an API token', async () => {
    const [coordinator, member, stranger] = [
      await enterService(service, 'coordinator'),
      await enterService(service),
      await enterService(service),
    ]
    await makeFederation(service, coordinator, [member])
    const { token } = await makeApiToken(service, ['coordinator'])
    const made = await call(service, 'POST', '/v1/federations', { token, body: { name: newId() } })
    await call(service, 'PUT', `/v1/federations/${made.body.id}/members/${member.deviceId}`, { token })
    const idOf = async (deviceId: string) => (await asAdmin(`/v1/attestations?deviceId=${deviceId}`)).body.items[0].id
    const foreign = [await idOf(stranger.deviceId), await idOf(coordinator.deviceId), newId()]
    const own = await idOf(member.deviceId)
    for (const seen of [coordinator.accessToken, token]) {
      const ask = (path: string) => call(service, 'GET', `/v1/attestations${path}`, { token: seen })
      const { items } = (await ask('?limit=200')).body
      expect(items.map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual([member.deviceId])
      expect((await ask(`?deviceId=${stranger.deviceId}`)).body.items).toEqual([])
      expect([(await ask(`/${own}`)).status, (await ask(`/${own}/ear`)).status]).toEqual([200, 200])
      expectRefusal(await ask(`/${own}/evidence`), 403, 'forbidden')
      for (const id of foreign) expectRefusal(await ask(`/${id}`), 404, 'not_found')
    }
  })
})
