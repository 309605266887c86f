import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry } from '../../database/repositories/directory.ts'
import {
  type EnrollmentToken,
  insertEnrollmentToken,
  listEnrollmentTokens,
  lockEnrollmentToken,
  markEnrollmentTokenRevoked,
} from '../../database/repositories/enrollment-tokens.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'

export interface EnrollmentTokenParts {
  database: Database
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  /** `kid` of the root key that signs trust bundles. */
  pin: string
}

export type { EnrollmentToken }
export type EnrollmentTokens = ReturnType<typeof createEnrollmentTokens>

export function createEnrollmentTokens(parts: EnrollmentTokenParts) {
  const { database, clock, crypto } = parts
  return {
    /** The text of the token is in this answer and nowhere else. */
    async create(
      operator: Operator,
      wish: { kind: PrincipalKind; name: string | undefined; policyId: string; ttlSeconds: number },
      requestId: string,
    ): Promise<{ id: string; token: string; expiresAt: number }> {
      const { organizationId } = operator
      const id = newId()
      const credential = `${id}.${toBase64url(crypto.randomBytes(32))}`
      const createdAt = clock.now()
      const expiresAt = createdAt + wish.ttlSeconds * 1000
      const { kind, name, policyId } = wish
      await database.withOrganization(organizationId, async (tx) => {
        await insertDirectoryEntry(tx, id, organizationId)
        const secretHash = hashCredential(crypto, credential)
        await insertEnrollmentToken(tx, { id, organizationId, kind, name, policyId, secretHash, createdAt, expiresAt })
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(operator),
            type: 'enrollment_token.created',
            severity: 'info',
            subject: { enrollmentTokenId: id },
            data: { kind, name: name ?? null, policyId, expiresAt },
            requestId,
          },
          createdAt,
        )
        await insertEvents(tx, [event])
      })
      return { id, token: `${credential}.${parts.pin}`, expiresAt }
    },

    list(operator: Operator, page: { limit: number; beforeId: string | undefined }): Promise<EnrollmentToken[]> {
      return database.withOrganization(operator.organizationId, (tx) => listEnrollmentTokens(tx, page))
    },

    async revoke(operator: Operator, id: string, requestId: string): Promise<void> {
      const { organizationId } = operator
      const now = clock.now()
      await database.withOrganization(organizationId, async (tx) => {
        const token = await lockEnrollmentToken(tx, id)
        if (token === undefined) throw new ServiceError('not_found', 'There is no such enrolment token.')
        if (token.usedAt !== undefined)
          throw new ServiceError('session_state', 'The token was used; revoke the device.')
        if (token.revokedAt !== undefined) return
        await markEnrollmentTokenRevoked(tx, id, now)
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(operator),
            type: 'enrollment_token.revoked',
            severity: 'notice',
            subject: { enrollmentTokenId: id },
            data: {},
            requestId,
          },
          now,
        )
        await insertEvents(tx, [event])
      })
    },
  }
}

/** Tokens are stored as the SHA3-256 of `<id>.<secret>`; the secret has 256 bits, so that no slow hash is needed. */
export function hashCredential(crypto: Primitives, credential: string): Uint8Array {
  return crypto.hash256(new TextEncoder().encode(credential))
}
