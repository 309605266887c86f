import { newId } from '../../runtime/ids.ts'
import { call } from './api.ts'
import { addAnchor, addCollateral, addReferenceValue, psaWish, referenceWish } from './attestation-inputs.ts'
import { crlWish } from './crl.ts'
import { noneDocument } from './policies.ts'
import type { Change } from './round-changes.ts'
import type { TestService } from './service.ts'

/** What operators change of what an organization trusts and expects, by route, for the test that nothing is stored without its event. */
export function listInputChanges(getService: () => TestService): Record<string, Change> {
  const asAdmin = (method: string, path: string, body?: object) =>
    call(getService(), method, path, { token: getService().adminToken, body })
  return {
    'POST /v1/policies': {
      async prepare() {
        const name = newId()
        return () => asAdmin('POST', '/v1/policies', { name, policy: noneDocument })
      },
      status: 201,
    },
    'POST /v1/trust-anchors': {
      prepare: async () => () => asAdmin('POST', '/v1/trust-anchors', psaWish()),
      status: 201,
    },
    'DELETE /v1/trust-anchors/:id': {
      async prepare() {
        const id = await addAnchor(getService())
        return () => asAdmin('DELETE', `/v1/trust-anchors/${id}`)
      },
      status: 204,
    },
    'POST /v1/collateral': {
      prepare: async () => () => asAdmin('POST', '/v1/collateral', crlWish()),
      status: 201,
    },
    'DELETE /v1/collateral/:id': {
      async prepare() {
        const id = await addCollateral(getService())
        return () => asAdmin('DELETE', `/v1/collateral/${id}`)
      },
      status: 204,
    },
    'POST /v1/reference-values': {
      prepare: async () => () => asAdmin('POST', '/v1/reference-values', referenceWish()),
      status: 201,
    },
    'DELETE /v1/reference-values/:id': {
      async prepare() {
        const id = await addReferenceValue(getService())
        return () => asAdmin('DELETE', `/v1/reference-values/${id}`)
      },
      status: 204,
    },
  }
}
