import { z } from 'zod'
import { toBase64url } from '../../protocol/encoding.ts'
import { deviceMetadata, principalKinds, principalStatuses } from '../../protocol/enrollment.ts'
import { kid, signatureAlgorithm, timestamp, uuid } from '../../protocol/wire.ts'
import { ServiceError } from '../errors.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Device, Devices } from '../services/devices.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(principalStatuses).optional(),
  kind: z.enum(principalKinds).optional(),
})

const deviceJson = z
  .strictObject({
    id: uuid,
    name: z.string(),
    kind: z.enum(principalKinds),
    status: z.enum(principalStatuses),
    spiffeId: z.string(),
    identityKey: z.strictObject({ kid, alg: signatureAlgorithm, publicKey: z.string() }),
    activeSessionId: uuid.nullable(),
    metadata: deviceMetadata,
    createdAt: timestamp,
    lastSeenAt: timestamp.nullable(),
  })
  .meta({ id: 'Device' })

const empty = z.strictObject({})

export function deviceRoutes(devices: Devices): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/devices',
      access: 'operator',
      summary: 'List devices, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of devices.', body: pageOf(deviceJson) } },
      async answer({ caller, query: { limit, cursor, status, kind } }) {
        const found = await devices.list(caller.organizationId, { limit: limit + 1, beforeId: cursor, status, kind })
        const page = toPage(found, limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/devices/:id',
      access: 'operator_or_own',
      summary: 'Show a device',
      answers: { 200: { description: 'The device.', body: deviceJson } },
      async answer({ caller, params }) {
        const id = parseId(params)
        if (caller.type !== 'api_token' && caller.id !== id) {
          throw new ServiceError('not_found', 'There is no such device.')
        }
        return { status: 200, body: toJson(await devices.get(caller.organizationId, id)) }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/devices/:id/revoke',
      access: 'operator',
      summary: 'Revoke a device and its sessions, for good',
      body: empty,
      answers: { 200: { description: 'The device, REVOKED. Repeating it changes nothing.', body: deviceJson } },
      async answer({ caller, params, requestId }) {
        return { status: 200, body: toJson(await devices.revoke(caller, parseId(params), requestId)) }
      },
    }),
  ]
}

function toJson(device: Device): z.input<typeof deviceJson> {
  const { identityKey } = device
  return {
    id: device.id,
    name: device.name,
    kind: device.kind,
    status: device.status,
    spiffeId: device.spiffeId,
    identityKey: { kid: identityKey.kid, alg: identityKey.alg, publicKey: toBase64url(identityKey.publicKey) },
    activeSessionId: device.activeSessionId ?? null,
    metadata: device.metadata,
    createdAt: device.createdAt,
    lastSeenAt: device.lastSeenAt ?? null,
  }
}
