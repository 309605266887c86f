import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import { insertApiToken } from '../../database/repositories/api-tokens.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertDirectoryEntry } from '../../database/repositories/directory.ts'
import {
  enterOrganization,
  findOrganization,
  insertOrganization,
  listOrganizations,
  type Organization,
} from '../../database/repositories/organizations.ts'
import type { ApiRole } from '../../protocol/api-roles.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { NewApiToken } from './api-tokens.ts'
import { changeAs } from './change-as.ts'
import { API_TOKEN_PREFIX, newCredential } from './credentials.ts'

export type { Organization }
export type Organizations = ReturnType<typeof createOrganizations>

const FIRST_ROLES: ApiRole[] = ['admin']

/** For administrators of the service: of a tenant they see its name, and nothing that it has. */
export function createOrganizations(parts: {
  database: Database
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}) {
  const { database } = parts
  return {
    /** With the first admin token of the organization. Its event is the first of the new organization's own log. */
    async create(
      serviceAdmin: Operator,
      name: string,
      requestId: string,
    ): Promise<Organization & { adminToken: NewApiToken }> {
      const organizationId = newId()
      const { id, credential, secretHash } = newCredential(parts.crypto)
      return withNameTaken(name, () =>
        changeAs(parts, serviceAdmin, async (tx, createdAt) => {
          await enterOrganization(tx, organizationId)
          const organization = { id: organizationId, name, createdAt }
          await insertOrganization(tx, organization)
          await insertDirectoryEntry(tx, id, organizationId)
          const unlimited = { isServiceAdmin: false, expiresAt: undefined, revokedAt: undefined }
          const token = { id, organizationId, name: 'first admin', roles: FIRST_ROLES, secretHash, createdAt }
          await insertApiToken(tx, { ...token, ...unlimited })
          const event = parts.writeEvent(
            {
              organizationId,
              actor: actorOf(serviceAdmin),
              type: 'organization.created',
              subject: { organizationId, apiTokenId: id },
              data: { organization: name, roles: FIRST_ROLES },
              requestId,
            },
            createdAt,
          )
          await insertEvents(tx, [event])
          return { ...organization, adminToken: { id, token: `${API_TOKEN_PREFIX}${credential}`, expiresAt: null } }
        }),
      )
    },

    list(page: { limit: number; beforeId: string | undefined }): Promise<Organization[]> {
      return database.withoutOrganization((tx) => listOrganizations(tx, page))
    },

    async get(id: string): Promise<Organization> {
      const organization = await database.withOrganization(id, (tx) => findOrganization(tx, id))
      if (organization === undefined) throw new ServiceError('not_found', 'There is no such organization.')
      return organization
    },
  }
}

/** Every id is new: what is there already can only be the name. */
async function withNameTaken<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== 'duplicate') throw error
    throw new ServiceError('name_taken', `There is an organization of the name ${name}.`, {
      field: 'name',
      cause: error,
    })
  }
}
