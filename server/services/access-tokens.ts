import type { Database } from '../../database/open.ts'
import { findSessionHolder } from '../../database/repositories/session-tokens.ts'
import { concatenate, fromBase64url, toBase64url, u64, uuidFromBytes, uuidToBytes } from '../../protocol/encoding.ts'
import { principalKinds } from '../../protocol/enrollment.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { TemporalKeys } from './temporal-keys.ts'

export const ACCESS_TOKEN_MS = 300_000
export const ACCESS_TOKEN_PREFIX = 'qs_'

/** Version, kind, session, device, organization, expiry: 58 bytes, then the MAC. */
const BODY_BYTES = 58
const MAC_BYTES = 32
const VERSION = 1

/**
 * Opaque tokens for this service alone (docs/protocol.md §4). The MAC key is that of the epoch in which the token expires:
 * it exists ahead of time on every node, and is destroyed soon after.
 */
export interface AccessTokens {
  /** The same arguments give the same token. `expiresAt` lies within the epochs that have keys. */
  issue(holder: Omit<SessionCaller, 'expiresAt'>, expiresAt: number): Promise<string>
  /** Checks the MAC and the time, and leaves the session to `requireSession`. Throws `unauthenticated`. */
  read(token: string): Promise<SessionCaller>
  /** Throws `unauthenticated` when a token that was read has expired, or its session is over. Whether its device is slowed. */
  requireSession(caller: SessionCaller): Promise<{ isSlowed: boolean }>
}

export function createAccessTokens(parts: {
  database: Database
  temporalKeys: TemporalKeys
  crypto: Primitives
  clock: Clock
}): AccessTokens {
  const { crypto, clock } = parts
  const refused = () => new ServiceError('unauthenticated', 'The access token is not valid, or its session is over.')

  return {
    async issue(holder, expiresAt) {
      const body = concatenate([
        Uint8Array.of(VERSION, principalKinds.indexOf(holder.type)),
        uuidToBytes(holder.sessionId),
        uuidToBytes(holder.id),
        uuidToBytes(holder.organizationId),
        u64(expiresAt),
      ])
      const key = await parts.temporalKeys.findEpochKey(bucketAt(expiresAt))
      if (key === undefined)
        throw new ServiceError('unavailable', 'Temporal keys are missing; they are being made anew.')
      return `${ACCESS_TOKEN_PREFIX}${toBase64url(concatenate([body, crypto.hmac256(key.accessToken, body)]))}`
    },

    async read(token) {
      const bytes = parseToken(token)
      if (bytes === undefined) throw refused()
      const body = bytes.subarray(0, BODY_BYTES)
      const expiresAt = Number(new DataView(body.buffer, body.byteOffset).getBigUint64(BODY_BYTES - 8))
      const now = clock.now()
      // No token lives longer than this: a far expiry is forged, and must not make us look for far epochs.
      if (expiresAt <= now || expiresAt > now + ACCESS_TOKEN_MS + 1_000) throw refused()
      const key = await parts.temporalKeys.findEpochKey(bucketAt(expiresAt))
      if (key === undefined || !crypto.equal(crypto.hmac256(key.accessToken, body), bytes.subarray(BODY_BYTES))) {
        throw refused()
      }
      const type = principalKinds[body[1] as number]
      const [sessionId, id, organizationId] = [2, 18, 34].map((at) => uuidFromBytes(body.subarray(at, at + 16)))
      if (type === undefined || sessionId === undefined || id === undefined || organizationId === undefined)
        throw refused()
      return { type, id, organizationId, sessionId, expiresAt }
    },

    async requireSession({ id, organizationId, sessionId, expiresAt }) {
      const holder = await findSessionHolder(parts.database, id, sessionId, undefined)
      if (holder === undefined || holder.status !== 'ACTIVE' || holder.organizationId !== organizationId)
        throw refused()
      const now = clock.now()
      const state = sessionStateAt(holder, now)
      if (now >= expiresAt || (state !== 'ACTIVE' && state !== 'SUPERSEDED')) throw refused()
      return { isSlowed: now < (holder.slowedUntil ?? 0) }
    },
  }
}

function parseToken(token: string): Uint8Array | undefined {
  try {
    const bytes = fromBase64url(token.slice(ACCESS_TOKEN_PREFIX.length), BODY_BYTES + MAC_BYTES)
    return bytes[0] === VERSION ? bytes : undefined
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
