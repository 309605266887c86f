import type { Database, Tx } from '../../database/open.ts'
import { findApiTokenEnd, shareApiTokens } from '../../database/repositories/api-tokens.ts'
import { type LockedPrincipal, lockPrincipal } from '../../database/repositories/principals.ts'
import { findSession } from '../../database/repositories/sessions.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Operator, SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { apiTokenStatusAt } from './api-token-status.ts'

/**
 * One transaction in the caller's organization, for whatever changes something in the caller's name. The caller was
 * authenticated when the headers came, and the body may have come much later: here the token is looked at once more, behind
 * the lock that its revocation takes too. What is revoked changes nothing from then on; what changes something is not revoked
 * before its commit. `now` is the time of that look. Throws `unauthenticated`.
 */
export function changeAs<T>(
  parts: { database: Database; clock: Clock },
  caller: Operator | SessionCaller,
  work: (tx: Tx, now: number) => Promise<T>,
): Promise<T> {
  return parts.database.withOrganization(caller.organizationId, async (tx) => {
    // Before every other lock, in every transaction: so nobody waits in a circle.
    if (caller.type === 'api_token') await shareApiTokens(tx)
    const now = parts.clock.now()
    await requireCaller(tx, caller, now)
    return work(tx, now)
  })
}

/** For a caller with an API token the transaction holds the organization's API tokens. Throws `unauthenticated`. */
export async function requireCaller(tx: Tx, caller: Operator | SessionCaller, now: number): Promise<void> {
  const isGood = caller.type === 'api_token' ? await isTokenOpen(tx, caller, now) : await isInSession(tx, caller, now)
  if (!isGood) throw revokedMeanwhile()
}

async function isTokenOpen(tx: Tx, { id }: Operator, now: number): Promise<boolean> {
  const token = await findApiTokenEnd(tx, id)
  return token !== undefined && apiTokenStatusAt(token, now) === 'open'
}

/** Whatever ends a session locks the principal's row first. */
async function isInSession(tx: Tx, caller: SessionCaller, now: number): Promise<boolean> {
  return isInSessionOf(tx, await lockPrincipal(tx, caller.id), caller, now)
}

/** The same as `requireCaller` for whoever has locked the principal's row already. Throws `unauthenticated`. */
export async function requireCallerOf(
  tx: Tx,
  locked: LockedPrincipal | undefined,
  caller: SessionCaller,
  now: number,
): Promise<void> {
  if (!(await isInSessionOf(tx, locked, caller, now))) throw revokedMeanwhile()
}

async function isInSessionOf(
  tx: Tx,
  locked: LockedPrincipal | undefined,
  { sessionId, expiresAt }: SessionCaller,
  now: number,
): Promise<boolean> {
  const session = await findSession(tx, sessionId)
  if (locked?.status !== 'ACTIVE' || session === undefined || now >= expiresAt) return false
  const state = sessionStateAt(session, now)
  return state === 'ACTIVE' || state === 'SUPERSEDED'
}

function revokedMeanwhile(): ServiceError {
  return new ServiceError('unauthenticated', 'The token was revoked or has expired in the meantime.')
}
