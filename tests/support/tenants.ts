import type { ApiRole } from '../../protocol/api-roles.ts'
import { newId } from '../../runtime/ids.ts'
import { call, createToken, enrollTestDevice, establish, openExchange, type TestDevice } from './api.ts'
import { addAnchor, addCollateral, addReferenceValue } from './attestation-inputs.ts'
import { addIncident } from './incidents.ts'
import { createPolicy } from './policies.ts'
import { askKeys, enterService, makeFederation, openRound, type TestParty } from './rounds.ts'
import type { TestService } from './service.ts'

/** The service as an admin of an organization sees it. */
export type Tenant = TestService & { organizationId: string }

/** A new organization over HTTP. */
export async function makeTenant(service: TestService, name: string): Promise<Tenant> {
  const { status, body } = await call(service, 'POST', '/v1/organizations', {
    token: service.adminToken,
    body: { name },
  })
  if (status !== 201) throw new Error(`no organization: ${JSON.stringify(body)}`)
  return { ...service, organizationId: body.id, adminToken: body.adminToken.token }
}

/** Of the organization of the service's admin token. */
export async function makeApiToken(
  service: TestService,
  roles: ApiRole[],
  ttlSeconds?: number,
): Promise<{ id: string; token: string; expiresAt: number | null }> {
  const { status, body } = await call(service, 'POST', '/v1/api-tokens', {
    token: service.adminToken,
    body: { name: roles.join(' '), roles, ttlSeconds },
  })
  if (status !== 201) throw new Error(`no API token: ${JSON.stringify(body)}`)
  return body
}

/** One of everything that an organization can have, by the path under which it is found. */
export interface Belongings {
  device: TestDevice
  accessToken: string
  coordinator: TestParty
  /** The federation is that coordinator's, the device its member, and round 1 is open and has its keys. */
  ids: Record<string, string>
}

export async function furnish(tenant: Tenant): Promise<Belongings> {
  const device = await enrollTestDevice(tenant)
  const { accessToken } = await establish(tenant, device)
  const pending = await openExchange(tenant, device)
  const coordinator = await enterService(tenant, 'coordinator')
  const federation = await makeFederation(tenant, coordinator, [device])
  await askKeys(tenant, coordinator, await openRound(tenant, coordinator, federation))
  await tenant.log.sequence()
  return {
    device,
    accessToken,
    coordinator,
    ids: {
      '/v1/organizations': tenant.organizationId,
      '/v1/api-tokens': (await makeApiToken(tenant, ['operator'])).id,
      '/v1/enrollment-tokens': (await createToken(tenant)).id,
      '/v1/enrollments': (await createToken(tenant)).id,
      '/v1/trust-anchors': await addAnchor(tenant),
      '/v1/reference-values': await addReferenceValue(tenant),
      '/v1/collateral': await addCollateral(tenant),
      '/v1/policies': (await createPolicy(tenant, newId())).id,
      '/v1/incidents': await addIncident(tenant, { organizationId: tenant.organizationId, devices: [device.deviceId] }),
      '/v1/attestations': await resultOf(tenant, device.deviceId),
      '/v1/devices': device.deviceId,
      '/v1/sessions': pending.sessionId,
      '/v1/exchanges': pending.sessionId,
      '/v1/federations': federation.id,
      '/v1/audit/events': (await eventsOf(tenant, tenant.organizationId, 'device.enrolled'))[0]?.id ?? '',
    },
  }
}

/** The attestation result of its enrolment. */
async function resultOf({ database }: Tenant, deviceId: string): Promise<string> {
  const { rows } = await database.sql.query('select id from attestation_result where principal_id = $1 order by id', [
    deviceId,
  ])
  return rows[0].id
}

/** The events of an organization, oldest first: those in the log, then those that wait for it. */
export async function eventsOf(
  service: TestService,
  organizationId: string,
  type?: string,
): Promise<
  { id: string; type: string; actor: object; subject: Record<string, string>; data: Record<string, unknown> }[]
> {
  const { rows } = await service.database.sql.query<{ entry: string }>(
    `select entry from (select 0 as place, index as number, organization_id, entry from audit_entry
        union all select 1, seq, organization_id, entry from audit_outbox) logged
      where organization_id = $1 order by place, number`,
    [organizationId],
  )
  const events = rows.map(({ entry }) => JSON.parse(entry))
  return type === undefined ? events : events.filter((event) => event.type === type)
}
