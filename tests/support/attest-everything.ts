import { ATTESTATION_INTERVAL_MS } from '../../protocol/attestation/intervals.ts'
import type { Json } from '../../protocol/encoding.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { checkCollateral } from '../../workers/jobs/check-collateral.ts'
import { watchAttestations } from '../../workers/jobs/watch-attestations.ts'
import { call, createToken, makeIdentity, startEnrollment } from './api.ts'
import { bindingOf, signAttestation, startAttestation, submitAttestation } from './attestation.ts'
import { addCollateral } from './attestation-inputs.ts'
import { CRL_NEXT_UPDATE } from './crl.ts'
import { crypto, type TestService } from './service.ts'
import { askCredential, createTpmPolicy, enterWithTpm, keysOf, otherPcrs, quoteOf } from './tpm/device.ts'
import { newTpm, trustTestTpms } from './tpm/service.ts'

/** Policies, what is trusted and expected, and all that evidence can come to; two devices with TPMs stay, one of them overdue. */
export async function attestEverything(service: TestService): Promise<void> {
  await trustTestTpms(service)
  await createTpmPolicy(service, 'edge')
  await enterWithTpm(service, newTpm(), 'edge')
  const tpm = newTpm()
  const party = await enterWithTpm(service, tpm, 'edge')
  const submit = async (
    makeEvidence: (binding: Uint8Array) => Json[],
    status: number,
    wish?: Parameters<typeof signAttestation>[3],
  ) => {
    const started = await startAttestation(service, party)
    const body = signAttestation(party, started, makeEvidence(bindingOf(party, started)), wish)
    const answer = await submitAttestation(service, party, started.attestationId, body)
    if (answer.status !== status) throw new Error(`not ${status}: ${JSON.stringify(answer.body)}`)
  }
  await submit((binding) => [quoteOf(tpm, binding)], 401, { signer: makeIdentity().identityKey })
  await submit(() => [{ format: 'none' }], 400)
  await submit((binding) => [quoteOf(tpm, binding)], 200)
  await submit((binding) => [quoteOf(tpm, binding, { pcrs: otherPcrs })], 200)

  await expectOk(service, 'POST', `/v1/devices/${party.deviceId}/clear-quarantine`, {})
  const parts = { database: service.database.open('qflare_worker', 1), writeEvent: createEventWriter(crypto) }
  for (const missed of [2, 3]) {
    await watchAttestations(parts, service.time.now + missed * ATTESTATION_INTERVAL_MS)
  }

  const { enrollmentId } = await startEnrollment(service, (await createToken(service, { policyId: 'edge' })).credential)
  await askCredential(service, enrollmentId, { ...keysOf(newTpm()), ekChain: [] })
  await addCollateral(service)
  for (const now of [CRL_NEXT_UPDATE - 1, CRL_NEXT_UPDATE]) {
    await checkCollateral({ ...parts, collateralWarningHours: 72 }, now)
  }
  for (const path of ['/v1/trust-anchors', '/v1/reference-values', '/v1/collateral']) {
    const { items } = await expectOk(service, 'GET', path)
    await expectOk(service, 'DELETE', `${path}/${items[0].id}`)
  }
}

async function expectOk(service: TestService, method: string, path: string, body?: object) {
  const answer = await call(service, method, path, { token: service.adminToken, body })
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
