import { call } from './api.ts'
import type { TestService } from './service.ts'

/** For devices that prove their key alone. */
export const noneDocument = { v: 1, evidence: { none: { rules: {} } }, enroll: ['none'] }

/** Of the organization of the service’s admin token; `change` replaces members of `noneDocument`. */
export async function createPolicy(
  service: Pick<TestService, 'url' | 'adminToken'>,
  name: string,
  change: object = {},
): Promise<{ id: string; version: number; policyHash: string }> {
  const { status, body } = await call(service, 'POST', '/v1/policies', {
    token: service.adminToken,
    body: { name, policy: { ...noneDocument, ...change } },
  })
  if (status !== 201 && status !== 200) throw new Error(`no policy: ${JSON.stringify(body)}`)
  return body
}
