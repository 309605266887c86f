import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertDirectoryEntries } from '../../database/repositories/directory.ts'
import {
  type EnrollmentToken,
  type EnrollmentTokenStatus,
  findEnrollmentToken,
  insertEnrollmentTokens,
  listEnrollmentTokens,
  lockEnrollmentToken,
  markEnrollmentTokenRevoked,
} from '../../database/repositories/enrollment-tokens.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { newCredential } from './credentials.ts'
import { getPolicy } from './policies.ts'

export interface EnrollmentTokenParts {
  database: Database
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  keyring: Keyring
  profile: ProfileName
  /** `kid` of the root key that signs trust bundles. */
  pin: string
}

export interface EnrollmentTokenWish {
  kind: PrincipalKind
  name: string | undefined
  type: string | undefined
  capabilities: string[]
  policyId: string
  ttlSeconds: number
}

export interface NewEnrollmentToken {
  id: string
  /** `<id>.<secret>.<pin>`: in this answer and nowhere else. */
  token: string
  expiresAt: number
}

export type { EnrollmentToken, EnrollmentTokenStatus }
export type EnrollmentTokens = ReturnType<typeof createEnrollmentTokens>

export function createEnrollmentTokens(parts: EnrollmentTokenParts) {
  const { database, clock } = parts
  return {
    /**
     * In the order of the wishes, of which there is at least one; all of them, or none. Throws `malformed` for a policy that does not
     * exist; `pathOf` is how the request calls the members of a wish.
     */
    async create(
      operator: Operator,
      wishes: readonly EnrollmentTokenWish[],
      requestId: string,
      pathOf: (index: number) => string,
    ): Promise<NewEnrollmentToken[]> {
      const { organizationId } = operator
      return changeAs(parts, operator, async (tx, createdAt) => {
        await requirePolicies(parts, tx, wishes, pathOf)
        const made = wishes.map((wish) => {
          const { ttlSeconds, ...terms } = wish
          return { ...newCredential(parts.crypto), ...terms, createdAt, expiresAt: createdAt + ttlSeconds * 1000 }
        })
        const tokens = made.map(({ credential: _secret, ...token }) => ({ ...token, organizationId }))
        const ids = tokens.map(({ id }) => id)
        await insertDirectoryEntries(tx, ids, organizationId)
        await insertEnrollmentTokens(tx, tokens)
        // One event each, also of many: who asks where a token came from finds it by its id, with its terms.
        const events = tokens.map(({ id, kind, name = null, type = null, capabilities, policyId, expiresAt }) =>
          tokenEvent(
            parts,
            operator,
            {
              type: 'enrollment_token.created',
              subject: { enrollmentTokenId: id },
              data: { kind, name, type, capabilities, policyId, expiresAt },
            },
            requestId,
            createdAt,
          ),
        )
        await insertEvents(tx, events)
        return made.map(({ id, credential, expiresAt }) => ({ id, token: `${credential}.${parts.pin}`, expiresAt }))
      })
    },

    list(
      operator: Operator,
      page: { limit: number; beforeId: string | undefined; status: EnrollmentTokenStatus | undefined },
    ): Promise<EnrollmentToken[]> {
      return database.withOrganization(operator.organizationId, (tx) => listEnrollmentTokens(tx, page, clock.now()))
    },

    async get(operator: Operator, id: string): Promise<EnrollmentToken> {
      const token = await database.withOrganization(operator.organizationId, (tx) => findEnrollmentToken(tx, id))
      if (token === undefined) throw notFound()
      return token
    },

    async revoke(operator: Operator, id: string, requestId: string): Promise<void> {
      await changeAs(parts, operator, async (tx, now) => {
        const token = await lockEnrollmentToken(tx, id)
        if (token === undefined) throw notFound()
        if (token.usedAt !== undefined)
          throw new ServiceError('session_state', 'The token was used; revoke the device.')
        if (token.revokedAt !== undefined) return
        await markEnrollmentTokenRevoked(tx, id, now)
        const revoked = { type: 'enrollment_token.revoked', subject: { enrollmentTokenId: id }, data: {} } as const
        await insertEvents(tx, [tokenEvent(parts, operator, revoked, requestId, now)])
      })
    },
  }
}

async function requirePolicies(
  parts: EnrollmentTokenParts,
  tx: Tx,
  wishes: readonly EnrollmentTokenWish[],
  pathOf: (index: number) => string,
): Promise<void> {
  const first = new Map(wishes.map(({ policyId }, index) => [policyId, index] as const).toReversed())
  for (const [policyId, index] of first) await getPolicy(parts, tx, policyId, `${pathOf(index)}policyId`)
}

/** What a token is at a time: it enrols somebody while it is `open`. The filter of the list says the same in SQL. */
export function enrollmentTokenStatusAt(token: EnrollmentToken, now: number): EnrollmentTokenStatus {
  if (token.usedAt !== undefined) return 'used'
  if (token.revokedAt !== undefined) return 'revoked'
  return token.expiresAt <= now ? 'expired' : 'open'
}

function tokenEvent(
  parts: EnrollmentTokenParts,
  operator: Operator,
  happening: Happening<'enrollment_token.created' | 'enrollment_token.revoked'>,
  requestId: string,
  at: number,
): LoggedEvent {
  const { organizationId } = operator
  return parts.writeEvent({ organizationId, actor: actorOf(operator), ...happening, requestId }, at)
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such enrolment token.')
}
