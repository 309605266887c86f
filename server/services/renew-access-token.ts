import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import {
  countRenewals,
  findSessionHolder,
  MAX_RENEWALS_PER_EPOCH,
  type SessionHolder,
  spendRenewalNonce,
} from '../../database/repositories/session-tokens.ts'
import { BUCKET_MS, isBucketAccepted } from '../../protocol/exchange/bucket.ts'
import { tokenProof } from '../../protocol/exchange/epochs.ts'
import type { TokenAnswer, TokenRequest } from '../../protocol/exchange/messages.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ServiceError } from '../errors.ts'
import { ACCESS_TOKEN_MS, type AccessTokens } from './access-tokens.ts'
import { openChain, SEALED_CHAIN_BYTES } from './session-chains.ts'
import { sessionEvent } from './session-events.ts'
import type { TemporalKeys } from './temporal-keys.ts'

export interface RenewAccessTokenParts {
  database: Database
  temporalKeys: TemporalKeys
  accessTokens: AccessTokens
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

export type RenewAccessToken = (sessionId: string, request: TokenRequest, requestId: string) => Promise<TokenAnswer>

/** A new access token for who proves that he holds the session's chain (docs/protocol.md §4). */
export function createRenewAccessToken(parts: RenewAccessTokenParts): RenewAccessToken {
  return async (sessionId, request, requestId) => {
    const { deviceId, epoch } = request
    const chainAt = { epoch, length: SEALED_CHAIN_BYTES }
    const holder = await findSessionHolder(parts.database, deviceId, sessionId, chainAt)
    if (holder === undefined) throw new ServiceError('not_found', 'There is no such session.')
    const now = parts.clock.now()
    requireOpenEpoch(holder, epoch, now)
    await requireProof(parts, holder, sessionId, request)
    const state = sessionStateAt(holder, now)
    if (holder.status !== 'ACTIVE' || (state !== 'ACTIVE' && state !== 'SUPERSEDED')) {
      throw new ServiceError('session_state', `The session is ${state}, or its device is not active.`)
    }
    await spendNonce(parts, holder, sessionId, request, now, requestId)
    const accessTokenExpiresAt = Math.min(now + ACCESS_TOKEN_MS, holder.expiresAt)
    const caller = { type: holder.kind, id: deviceId, organizationId: holder.organizationId, sessionId }
    return { accessToken: await parts.accessTokens.issue(caller, accessTokenExpiresAt), accessTokenExpiresAt }
  }
}

function requireOpenEpoch(holder: SessionHolder, epoch: number, now: number): void {
  const isFirstToCome = epoch === holder.bucket && now < epoch * BUCKET_MS
  if (isFirstToCome || isBucketAccepted(epoch, now)) return
  throw new ServiceError('bucket_out_of_window', `Epoch ${epoch} is not open.`, { now })
}

async function requireProof(
  parts: RenewAccessTokenParts,
  holder: SessionHolder & { sealedChain: Uint8Array | undefined },
  sessionId: string,
  request: TokenRequest,
): Promise<void> {
  const { epoch, nonce } = request
  const epochKey = await parts.temporalKeys.findEpochKey(epoch)
  if (holder.sealedChain === undefined || epochKey === undefined) {
    throw new ServiceError('session_state', 'The session has no key of this epoch; begin a new exchange.')
  }
  const session = { organizationId: holder.organizationId, principalId: request.deviceId, id: sessionId }
  const chain = openChain(parts.crypto, session, epoch, holder.sealedChain, epochKey)
  if (chain === undefined) {
    throw new ServiceError('session_state', 'The key of this epoch was lost; begin a new exchange.')
  }
  const expected = tokenProof(parts.crypto, chain, { sessionId, epoch, nonce })
  chain.fill(0)
  if (!parts.crypto.equal(expected, request.proof)) {
    throw new ServiceError('unauthenticated', 'The proof is not that of this session, epoch and nonce.')
  }
}

async function spendNonce(
  parts: RenewAccessTokenParts,
  holder: SessionHolder,
  sessionId: string,
  request: TokenRequest,
  now: number,
  requestId: string,
): Promise<void> {
  const { organizationId } = holder
  const principal = { id: request.deviceId, kind: holder.kind }
  const actor = { organizationId, principal, requestId }
  const change = { type: 'session.token_renewed', data: { epoch: request.epoch } } as const
  const event = sessionEvent(parts.writeEvent, actor, change, sessionId, now)
  const nonceHash = parts.crypto.hash256(request.nonce)
  try {
    await spendRenewalNonce(parts.database, organizationId, {
      sessionId,
      epoch: request.epoch,
      nonceHash,
      events: [event],
    })
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== 'condition_failed') throw error
    const renewals = await countRenewals(parts.database, organizationId, sessionId)
    const retryAfterSeconds = Math.max(1, Math.ceil(((request.epoch + 1) * BUCKET_MS - now) / 1000))
    if (renewals?.epoch === request.epoch && renewals.count >= MAX_RENEWALS_PER_EPOCH) {
      throw new ServiceError('rate_limited', 'This session’s renewals of this epoch are used up.', {
        retryAfterSeconds,
      })
    }
    throw new ServiceError('replayed', 'This nonce was used before, or a newer epoch has renewed.', { cause: error })
  }
}
