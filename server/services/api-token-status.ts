import type { ApiToken } from '../../database/repositories/api-tokens.ts'

/** What a token is at a time: it is taken while it is `open`. */
export function apiTokenStatusAt(
  token: Pick<ApiToken, 'expiresAt' | 'revokedAt'>,
  now: number,
): 'open' | 'expired' | 'revoked' {
  if (token.revokedAt !== undefined) return 'revoked'
  return token.expiresAt !== undefined && token.expiresAt <= now ? 'expired' : 'open'
}
