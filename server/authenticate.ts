import type { ApiCredential } from '../database/repositories/api-tokens.ts'
import { isUuid } from '../protocol/encoding.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Caller, hasRole } from './caller.ts'
import { ServiceError } from './errors.ts'
import type { Access } from './route.ts'
import { ACCESS_TOKEN_PREFIX, type AccessTokens } from './services/access-tokens.ts'
import { apiTokenStatusAt } from './services/api-token-status.ts'
import { API_TOKEN_PREFIX, hashCredential } from './services/credentials.ts'

const MAX_HEADER_LENGTH = 512

/** Who the `Authorization` header proves the caller to be. Throws `unauthenticated` for a header that proves nothing. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>

export function createAuthenticate(parts: {
  findApiToken: (id: string) => Promise<ApiCredential | undefined>
  accessTokens: AccessTokens
  crypto: Primitives
  clock: Clock
}): Authenticate {
  const { crypto } = parts
  const refused = () => new ServiceError('unauthenticated', 'The token is unknown, expired or revoked.')

  async function verifyApiToken(token: string): Promise<Caller> {
    const credential = token.slice(API_TOKEN_PREFIX.length)
    const id = credential.split('.')[0] ?? ''
    const stored = isUuid(id) ? await parts.findApiToken(id) : undefined
    const hash = hashCredential(crypto, credential)
    if (stored === undefined || !crypto.equal(hash, stored.secretHash)) throw refused()
    if (apiTokenStatusAt(stored, parts.clock.now()) !== 'open') throw refused()
    const { organizationId, roles, isServiceAdmin } = stored
    return { type: 'api_token', id, organizationId, roles, isServiceAdmin }
  }

  return async (authorization) => {
    if (authorization === undefined) return { type: 'anonymous' }
    const token = /^Bearer ([A-Za-z0-9._-]+)$/i.exec(authorization.slice(0, MAX_HEADER_LENGTH))?.[1]
    if (token?.startsWith(API_TOKEN_PREFIX)) return verifyApiToken(token)
    if (token?.startsWith(ACCESS_TOKEN_PREFIX)) return parts.accessTokens.verify(token)
    throw refused()
  }
}

/** Throws `unauthenticated` or `forbidden`; whether a single resource is the caller's own is for its service to say. */
export function requireAccess(access: Access, caller: Caller, isFromThisMachine: boolean): void {
  switch (access) {
    case 'anyone':
      return
    case 'machine':
      if (!isFromThisMachine) throw new ServiceError('not_found', 'There is nothing here.')
      return
    case 'operator':
    case 'operator_or_own':
      if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
      if (hasRole(caller, 'operator')) return
      if (access === 'operator_or_own' && caller.type !== 'api_token') return
      throw new ServiceError('forbidden', 'This needs the role operator.')
    case 'own':
      if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
      if (caller.type !== 'api_token') return
      throw new ServiceError('forbidden', 'This is for the device itself.')
    case 'auditor':
      if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
      if (hasRole(caller, 'auditor')) return
      throw new ServiceError('forbidden', 'This needs the role auditor.')
    case 'admin':
      if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
      if (hasRole(caller, 'admin')) return
      throw new ServiceError('forbidden', 'This needs the role admin.')
    case 'service_admin':
      if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
      if (hasRole(caller, 'admin') && caller.type === 'api_token' && caller.isServiceAdmin) return
      throw new ServiceError('forbidden', 'This needs a token that may administer the service itself.')
    default:
      throw new Error(`This access is not known: ${String(access satisfies never)}`)
  }
}
