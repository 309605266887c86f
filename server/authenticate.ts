import type { ApiCredential } from '../database/repositories/api-tokens.ts'
import { isUuid, toBase64url } from '../protocol/encoding.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Caller, hasRole } from './caller.ts'
import { ServiceError } from './errors.ts'
import type { Access } from './route.ts'
import { ACCESS_TOKEN_PREFIX, type AccessTokens } from './services/access-tokens.ts'
import { apiTokenStatusAt } from './services/api-token-status.ts'
import { API_TOKEN_PREFIX, hashCredential } from './services/credentials.ts'
import type { NoteRefusal } from './services/refusal-tally.ts'

const MAX_HEADER_LENGTH = 512

/** API tokens that were right before, by their hashes: those of a busy service's operators. */
const MAX_KNOWN = 10_000

export interface Authenticate {
  /**
   * Who the `Authorization` header proves the caller to be; `looksUpSession`: of a session without the look whether it is over, which
   * the route takes. Throws `unauthenticated` for a header that proves nothing.
   */
  (authorization: string | undefined, looksUpSession?: boolean): Promise<Caller>
  /**
   * Without a look at the database: `known` is an access token with its MAC, and an API token that was right when it came last;
   * `strange` is an API token that has to be looked for. It says whom a busy service serves first, and opens nothing.
   */
  judge(authorization: string | undefined): Promise<'known' | 'strange' | 'none'>
}

export function createAuthenticate(parts: {
  findApiToken: (id: string) => Promise<ApiCredential | undefined>
  accessTokens: Pick<AccessTokens, 'read' | 'requireSession'>
  crypto: Primitives
  clock: Clock
  noteRefusal: NoteRefusal
}): Authenticate {
  const { crypto } = parts
  // In the order in which they became known.
  const known = new Set<string>()
  const refused = () => new ServiceError('unauthenticated', 'The token is unknown, expired or revoked.')

  async function verifyApiToken(token: string): Promise<Caller> {
    const credential = token.slice(API_TOKEN_PREFIX.length)
    const id = credential.split('.')[0] ?? ''
    const stored = isUuid(id) ? await parts.findApiToken(id) : undefined
    const hash = hashCredential(crypto, credential)
    const name = toBase64url(hash)
    if (stored === undefined) throw refused()
    const isRight = crypto.equal(hash, stored.secretHash)
    if (!isRight || apiTokenStatusAt(stored, parts.clock.now()) !== 'open') {
      known.delete(name)
      parts.noteRefusal.apiToken(stored, isRight ? 'ended' : 'secret')
      throw refused()
    }
    known.add(name)
    const [oldest] = known
    if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest)
    const { organizationId, roles, isServiceAdmin } = stored
    return { type: 'api_token', id, organizationId, roles, isServiceAdmin }
  }

  async function verifyAccessToken(token: string, looksUpSession: boolean): Promise<Caller> {
    const caller = await parts.accessTokens.read(token)
    return looksUpSession ? caller : { ...caller, ...(await parts.accessTokens.requireSession(caller)) }
  }

  async function authenticate(authorization: string | undefined, looksUpSession = false): Promise<Caller> {
    if (authorization === undefined) return { type: 'anonymous' }
    const token = parseBearer(authorization)
    if (token?.startsWith(API_TOKEN_PREFIX)) return verifyApiToken(token)
    if (token?.startsWith(ACCESS_TOKEN_PREFIX)) return verifyAccessToken(token, looksUpSession)
    throw refused()
  }

  return Object.assign(authenticate, {
    async judge(authorization: string | undefined) {
      const token = authorization === undefined ? undefined : parseBearer(authorization)
      if (token?.startsWith(API_TOKEN_PREFIX)) {
        const hash = hashCredential(crypto, token.slice(API_TOKEN_PREFIX.length))
        return known.has(toBase64url(hash)) ? 'known' : 'strange'
      }
      if (token?.startsWith(ACCESS_TOKEN_PREFIX) !== true) return 'none'
      // What is wrong with it is said where it has to be right.
      return parts.accessTokens.read(token).then(
        () => 'known' as const,
        () => 'none' as const,
      )
    },
  })
}

function parseBearer(authorization: string): string | undefined {
  return /^Bearer ([A-Za-z0-9._-]+)$/i.exec(authorization.slice(0, MAX_HEADER_LENGTH))?.[1]
}

/** Throws `unauthenticated` or `forbidden`; whether a single resource is the caller's own is for its service to say. */
export function requireAccess(access: Access, caller: Caller, isFromThisMachine: boolean): void {
  if (access === 'anyone') return
  if (access === 'machine') {
    if (!isFromThisMachine) throw new ServiceError('not_found', 'There is nothing here.')
    return
  }
  if (caller.type === 'anonymous') throw new ServiceError('unauthenticated', 'This needs a token.')
  if (!mayCall(access, caller)) throw new ServiceError('forbidden', needs[access])
}

type Restricted = Exclude<Access, 'anyone' | 'machine'>

const needs: Record<Restricted, string> = {
  operator: 'This needs the role operator.',
  operator_or_own: 'This needs the role operator.',
  own: 'This is for the device itself.',
  auditor: 'This needs the role auditor.',
  coordinator: 'This needs the role coordinator, or a session of a coordinator.',
  operator_or_coordinator: 'This needs the role operator or coordinator, or a session of a coordinator.',
  auditor_or_coordinator: 'This needs the role auditor, operator or coordinator, or a session of a coordinator.',
  coordinator_in_session: 'This needs a session of a coordinator.',
  device_in_session: 'This needs a session of a device.',
  admin: 'This needs the role admin.',
  service_admin: 'This needs a token that may administer the service itself.',
}

function mayCall(access: Restricted, caller: Exclude<Caller, { type: 'anonymous' }>): boolean {
  switch (access) {
    case 'operator':
    case 'auditor':
    case 'admin':
      return hasRole(caller, access)
    case 'operator_or_own':
      return hasRole(caller, 'operator') || caller.type !== 'api_token'
    case 'own':
      return caller.type !== 'api_token'
    case 'coordinator':
      return hasRole(caller, 'coordinator') || caller.type === 'coordinator'
    case 'operator_or_coordinator':
      return hasRole(caller, 'operator') || hasRole(caller, 'coordinator') || caller.type === 'coordinator'
    case 'auditor_or_coordinator':
      return hasRole(caller, 'auditor') || mayCall('operator_or_coordinator', caller)
    case 'coordinator_in_session':
      return caller.type === 'coordinator'
    case 'device_in_session':
      return caller.type === 'device'
    case 'service_admin':
      return hasRole(caller, 'admin') && caller.type === 'api_token' && caller.isServiceAdmin
    default:
      throw new Error(`This access is not known: ${String(access satisfies never)}`)
  }
}
