import type { Database } from '../database/open.ts'
import { insertApiToken, revokeOtherApiTokens } from '../database/repositories/api-tokens.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry } from '../database/repositories/directory.ts'
import { findOrganizationId } from '../database/repositories/organizations.ts'
import { lockInitialization } from '../database/repositories/service-keys.ts'
import { toBase64url } from '../protocol/encoding.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { createEventWriter } from '../runtime/audit-events.ts'
import { newId } from '../runtime/ids.ts'
import { OperationError } from './operation-error.ts'

/** The organization that the first start makes; its recovered admin administers the service too. */
export const DEFAULT_ORGANIZATION = 'default'

/**
 * Makes an admin token for an organization, and its events, in one transaction; with `revokesOthers` no other API token of the
 * organization is good any more. `keepToken` makes the text durable before the commit, one at a time. Throws `organization_unknown`.
 */
export async function recoverAdminToken(
  parts: {
    database: Database
    crypto: Primitives
    keepToken: (token: string, organizationId: string) => Promise<void>
  },
  wish: { organization: string; revokesOthers: boolean },
): Promise<{ id: string; organizationId: string; revoked: string[] }> {
  const { database, crypto } = parts
  const organizationId = await database.withoutOrganization((tx) => findOrganizationId(tx, wish.organization))
  if (organizationId === undefined) {
    throw new OperationError('organization_unknown', `There is no organization ${wish.organization} in this database.`)
  }
  const at = Math.floor(await database.readClock())
  const id = newId()
  const secret = `${id}.${toBase64url(crypto.randomBytes(32))}`
  const revoked = await database.withOrganization(organizationId, async (tx) => {
    // Of two at once neither writes over the file of the other.
    await lockInitialization(tx)
    await insertDirectoryEntry(tx, id, organizationId)
    await insertApiToken(tx, {
      id,
      organizationId,
      name: 'recovered admin',
      roles: ['admin'],
      isServiceAdmin: wish.organization === DEFAULT_ORGANIZATION,
      secretHash: crypto.hash256(new TextEncoder().encode(secret)),
      createdAt: at,
      expiresAt: undefined,
      revokedAt: undefined,
    })
    const others = wish.revokesOthers ? await revokeOtherApiTokens(tx, id, at) : []
    // Whoever runs this has the machine: the events say so by being there.
    const shared = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    const recovered = {
      type: 'api_token.recovered',
      subject: { apiTokenId: id },
      data: { revokedCount: others.length },
    } as const
    const writeEvent = createEventWriter(crypto)
    await insertEvents(tx, [
      ...others.map((apiTokenId) =>
        writeEvent({ ...shared, type: 'api_token.revoked', subject: { apiTokenId }, data: { with: 'recovery' } }, at),
      ),
      writeEvent({ ...shared, ...recovered }, at),
    ])
    await parts.keepToken(`qf_${secret}`, organizationId)
    return others
  })
  return { id, organizationId, revoked }
}
