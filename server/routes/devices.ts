import { z } from 'zod'
import { toBase64url } from '../../protocol/encoding.ts'
import { principalKinds } from '../../protocol/enrollment.ts'
import { ServiceError } from '../errors.ts'
import { pageQuery, toPage } from '../page.ts'
import { parseInput, type Route } from '../route.ts'
import type { Device, Devices } from '../services/devices.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(['PENDING', 'ACTIVE', 'QUARANTINED', 'SUSPENDED', 'REVOKED']).optional(),
  kind: z.enum(principalKinds).optional(),
})

const empty = z.strictObject({})

export function deviceRoutes(devices: Devices): Route[] {
  return [
    {
      method: 'get',
      path: '/v1/devices',
      access: 'operator',
      async answer({ caller, query }) {
        const { limit, cursor, status, kind } = parseInput(listQuery, query)
        const found = await devices.list(caller.organizationId, { limit: limit + 1, beforeId: cursor, status, kind })
        const page = toPage(found, limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    },
    {
      method: 'get',
      path: '/v1/devices/:id',
      access: 'operator_or_own',
      async answer({ caller, params }) {
        const id = parseId(params)
        if (caller.type !== 'api_token' && caller.id !== id) {
          throw new ServiceError('not_found', 'There is no such device.')
        }
        return { status: 200, body: toJson(await devices.get(caller.organizationId, id)) }
      },
    },
    {
      method: 'post',
      path: '/v1/devices/:id/revoke',
      access: 'operator',
      async answer({ caller, params, body, requestId }) {
        parseInput(empty, body)
        return { status: 200, body: toJson(await devices.revoke(caller, parseId(params), requestId)) }
      },
    },
  ]
}

function toJson(device: Device): object {
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
