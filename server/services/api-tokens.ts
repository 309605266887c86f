import type { Database } from '../../database/open.ts'
import {
  type ApiToken,
  findApiTokenById,
  insertApiToken,
  listApiTokens,
  lockApiTokens,
  markApiTokenRevoked,
} from '../../database/repositories/api-tokens.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry } from '../../database/repositories/directory.ts'
import type { ApiRole } from '../../protocol/api-roles.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs, requireCaller } from './change-as.ts'
import { API_TOKEN_PREFIX, newCredential } from './credentials.ts'

export interface NewApiToken {
  id: string
  /** `qf_<id>.<secret>`: in this answer and nowhere else. */
  token: string
  /** Null for one that does not expire. */
  expiresAt: number | null
}

/** Of a token whose maker wishes no other. */
const DEFAULT_DAYS = 90
const DAY_SECONDS = 86_400

export type { ApiToken }
export type ApiTokens = ReturnType<typeof createApiTokens>

/** An admin makes and revokes the tokens of the own organization; none of them administers the service. */
export function createApiTokens(parts: {
  database: Database
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  /** How long one may live. */
  apiTokenMaxDays: number
  /** After the commit. */
  announceRevoked: (id: string) => void
}) {
  const { database, clock, apiTokenMaxDays } = parts
  return {
    /** Throws `malformed` for one that would live longer than it may. */
    async create(
      admin: Operator,
      wish: { name: string; roles: ApiRole[]; ttlSeconds: number | undefined },
      requestId: string,
    ): Promise<NewApiToken> {
      const { organizationId } = admin
      const { name, roles, ttlSeconds = Math.min(DEFAULT_DAYS, apiTokenMaxDays) * DAY_SECONDS } = wish
      if (ttlSeconds > apiTokenMaxDays * DAY_SECONDS) {
        const detail = `ttlSeconds: an API token lives for ${apiTokenMaxDays} days at most, ${apiTokenMaxDays * DAY_SECONDS} s.`
        throw new ServiceError('malformed', detail, { field: 'ttlSeconds' })
      }
      const { id, credential, secretHash } = newCredential(parts.crypto)
      return changeAs(parts, admin, async (tx, createdAt) => {
        const expiresAt = createdAt + ttlSeconds * 1000
        const shared = { id, organizationId, name, roles, secretHash, createdAt, expiresAt }
        await insertDirectoryEntry(tx, id, organizationId)
        await insertApiToken(tx, { ...shared, isServiceAdmin: false, revokedAt: undefined })
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(admin),
            type: 'api_token.created',
            subject: { apiTokenId: id },
            data: { name, roles, expiresAt },
            requestId,
          },
          createdAt,
        )
        await insertEvents(tx, [event])
        return { id, token: `${API_TOKEN_PREFIX}${credential}`, expiresAt }
      })
    },

    list(admin: Operator, page: { limit: number; beforeId: string | undefined }): Promise<ApiToken[]> {
      return database.withOrganization(admin.organizationId, (tx) => listApiTokens(tx, page))
    },

    /** At once; revoking twice changes nothing. Throws `forbidden` for a service admin's, unless the caller is one. */
    async revoke(admin: Operator, id: string, requestId: string): Promise<void> {
      const { organizationId } = admin
      await database.withOrganization(organizationId, async (tx) => {
        await lockApiTokens(tx)
        const now = clock.now()
        await requireCaller(tx, admin, now)
        const token = await findApiTokenById(tx, id)
        if (token === undefined) throw new ServiceError('not_found', 'There is no such API token.')
        if (token.isServiceAdmin && !admin.isServiceAdmin) {
          throw new ServiceError('forbidden', 'This token may administer the service; only such a one may revoke it.')
        }
        if (token.revokedAt !== undefined) return
        await markApiTokenRevoked(tx, id, now)
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(admin),
            type: 'api_token.revoked',
            subject: { apiTokenId: id },
            data: { with: 'request' },
            requestId,
          },
          now,
        )
        await insertEvents(tx, [event])
      })
      parts.announceRevoked(id)
    },
  }
}
