import type { ApiRole } from '../../../protocol/api-roles.ts'
import { toBase64url } from '../../../protocol/encoding.ts'
import { call, enrollTestDevice, establish, type TestDevice } from '../api.ts'
import { enterService, makeFederation, type TestFederation, type TestParty } from '../rounds.ts'
import { crypto, startTestService, type TestService } from '../service.ts'
import { makeApiToken, makeTenant } from '../tenants.ts'
import type { Caller } from './outcomes.ts'

/** A service with one caller of each kind. */
export interface AccessWorld {
  service: TestService
  tokens: Record<Caller, string | undefined>
  device: TestDevice
  otherDevice: TestDevice
  /** Of `device`. */
  session: { id: string; token: string }
  coordinator: TestParty
  /** Of the coordinator; `device` is its member. */
  federation: TestFederation
}

export const zeroBytes = (length: number) => toBase64url(new Uint8Array(length))

export async function makeAccessWorld(): Promise<AccessWorld> {
  const service = await startTestService()
  const device = await enrollTestDevice(service)
  const otherDevice = await enrollTestDevice(service)
  const established = await establish(service, device)
  const session = { id: established.sessionId, token: established.accessToken }
  const coordinator = await enterService(service, 'coordinator')
  const federation = await makeFederation(service, coordinator, [device])
  const makeToken = (role: ApiRole, expiresAt?: number) => makeTokenUntil(service, role, expiresAt)
  const tokens = {
    anonymous: undefined,
    garbage: 'qf_nonsense',
    wrongSecret: `qf_${idOf(service.adminToken)}.${toBase64url(crypto.randomBytes(32))}`,
    expired: await makeToken('admin', service.time.now),
    revoked: await makeToken('admin'),
    auditor: await makeToken('auditor'),
    coordinator: await makeToken('coordinator'),
    operator: await makeToken('operator', service.time.now + 1),
    admin: await makeToken('admin'),
    serviceAdmin: service.adminToken,
    device: session.token,
    otherDevice: (await establish(service, otherDevice)).accessToken,
    coordinatorInSession: coordinator.accessToken,
    otherCoordinator: (await enterService(service, 'coordinator')).accessToken,
    foreignAdmin: (await makeTenant(service, 'foreign')).adminToken,
  }
  await call(service, 'DELETE', `/v1/api-tokens/${idOf(tokens.revoked)}`, { token: service.adminToken })
  await service.log.sequence()
  return { service, tokens, device, otherDevice, session, coordinator, federation }
}

async function makeTokenUntil(service: TestService, role: ApiRole, expiresAt?: number): Promise<string> {
  const { id, token } = await makeApiToken(service, [role])
  const update = 'update api_token set expires_at = $2 where id = $1'
  if (expiresAt !== undefined) await service.database.sql.query(update, [id, new Date(expiresAt)])
  return token
}

const idOf = (apiToken: string) => apiToken.slice(3, 39)
