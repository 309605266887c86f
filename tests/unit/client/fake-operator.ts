import type { IncomingHttpHeaders } from 'node:http'
import type { PrincipalKind } from '../../../protocol/enrollment.ts'
import { type Answer, refusal } from './fake-answer.ts'

export const adminToken = 'qf_0199b0a4-7e1c-7000-8000-00000000000a.secret'

export interface FakeDevice {
  id: string
  name: string
  kind: PrincipalKind
  status: 'ACTIVE' | 'REVOKED'
  spiffeId: string
  identityKey: { kid: string; alg: string; publicKey: string; since: number; rotationDueSince: number | null }
  activeSessionId: string | null
  metadata: Record<string, string | number | boolean>
  createdAt: number
  lastSeenAt: number | null
}

/** The operator's endpoints of docs/api.md that the command uses; a page holds two devices. */
export function createFakeOperator(parts: {
  newToken: (limits?: { kind: PrincipalKind; name: string | undefined }) => string
  devices: Map<string, FakeDevice>
  now: () => number
}) {
  const { newToken, devices, now } = parts

  function listDevices(query: URLSearchParams): Answer {
    const all = [...devices.values()].filter(({ status }) => (query.get('status') ?? status) === status)
    const from = Number(query.get('cursor') ?? 0)
    const nextCursor = from + 2 < all.length ? String(from + 2) : null
    return { status: 200, json: { items: all.slice(from, from + 2), nextCursor } }
  }

  function revokeDevice(id: string): Answer {
    const device = devices.get(id)
    if (device === undefined) return refusal(404, 'not_found')
    device.status = 'REVOKED'
    return { status: 200, json: device }
  }

  function createToken(body: unknown): Answer {
    const { kind, name, ttlSeconds = 86_400 } = body as { kind: PrincipalKind; name?: string; ttlSeconds?: number }
    const token = newToken({ kind, name })
    return { status: 201, json: { id: token.split('.')[0], token, expiresAt: now() + ttlSeconds * 1000 } }
  }

  return {
    /** Undefined: not one of the operator's. */
    answer(line: string, body: unknown, headers: IncomingHttpHeaders): Answer | undefined {
      const url = new URL(line.split(' ')[1] ?? '', 'http://fake')
      const route = `${line.split(' ')[0]} ${url.pathname.replace(/[0-9a-f-]{36}/, '{id}')}`
      const routes: Record<string, () => Answer> = {
        'POST /v1/enrollment-tokens': () => createToken(body),
        'GET /v1/devices': () => listDevices(url.searchParams),
        'POST /v1/devices/{id}/revoke': () => revokeDevice(url.pathname.split('/')[3] ?? ''),
      }
      const found = routes[route]
      if (found === undefined) return undefined
      return headers.authorization === `Bearer ${adminToken}` ? found() : refusal(401, 'unauthenticated')
    },
  }
}
