import type { Json } from '../../protocol/encoding.ts'
import { call, createToken, makeIdentity, startEnrollment } from './api.ts'
import { signAttestation, startAttestation, submitAttestation } from './attestation.ts'
import type { Ask, Change } from './round-changes.ts'
import { enterService } from './rounds.ts'
import type { TestService } from './service.ts'
import { askCredential, createTpmPolicy, keysOf, tpmNamed } from './tpm/device.ts'

/** What attestations change, by route, for the test that nothing is stored without its event. `getService` is asked when a change is prepared. */
export function listAttestationChanges(getService: () => TestService): Record<string, Change> {
  function submission(wish: Parameters<typeof signAttestation>[3] = {}, evidence?: Json[]) {
    return async (): Promise<Ask> => {
      const service = getService()
      const party = await enterService(service)
      const started = await startAttestation(service, party)
      const body = signAttestation(party, started, evidence, wish)
      return () => submitAttestation(service, party, started.attestationId, body)
    }
  }

  return {
    'POST /v1/enrollments/:id/credential for a TPM of nobody': {
      async prepare() {
        const service = getService()
        await createTpmPolicy(service, 'edge')
        const { credential } = await createToken(service, { policyId: 'edge' })
        const { enrollmentId } = await startEnrollment(service, credential)
        return () => askCredential(service, enrollmentId, keysOf(tpmNamed('of nobody')))
      },
      status: 403,
    },
    'POST /v1/attestations': {
      async prepare() {
        const { accessToken: token } = await enterService(getService())
        return () => call(getService(), 'POST', '/v1/attestations', { token, body: {} })
      },
      status: 201,
    },
    'POST /v1/attestations/:id': { prepare: submission(), status: 200 },
    'POST /v1/attestations/:id with evidence of another format': {
      prepare: submission({}, [{ format: 'tpm2' }]),
      status: 400,
    },
    'POST /v1/attestations/:id by a stranger': {
      prepare: submission({ signer: makeIdentity().identityKey }),
      status: 401,
    },
  }
}
