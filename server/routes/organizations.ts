import { z } from 'zod'
import { displayName } from '../../protocol/enrollment.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Organizations } from '../services/organizations.ts'
import { newApiTokenJson } from './api-tokens.ts'
import { parseId } from './ids.ts'

const organization = { id: uuid, name: z.string(), createdAt: timestamp }
const organizationJson = z.strictObject(organization).meta({ id: 'Organization' })
const newOrganizationJson = z
  .strictObject({ ...organization, adminToken: newApiTokenJson })
  .meta({ id: 'NewOrganization' })

const organizationWish = z.strictObject({ name: displayName })
const listQuery = z.strictObject(pageQuery)

export function organizationRoutes(organizations: Organizations): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/organizations',
      access: 'service_admin',
      summary: 'Make an organization, a tenant of the service',
      body: organizationWish,
      answers: {
        201: {
          description: 'The organization with its first admin token, this once.',
          body: newOrganizationJson,
          hasLocation: true,
        },
      },
      errors: ['name_taken'],
      async answer({ caller, body: { name }, requestId }) {
        const made = await organizations.create(caller, name, requestId)
        return { status: 201, body: made, headers: { location: `/v1/organizations/${made.id}` } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/organizations',
      access: 'service_admin',
      summary: 'List organizations, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of organizations.', body: pageOf(organizationJson) } },
      async answer({ query: { limit, cursor } }) {
        const found = await organizations.list({ limit: limit + 1, beforeId: cursor })
        return { status: 200, body: toPage(found, limit) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/organizations/:id',
      access: 'service_admin',
      summary: 'Show an organization',
      answers: { 200: { description: 'The organization.', body: organizationJson } },
      async answer({ params }) {
        return { status: 200, body: await organizations.get(parseId(params)) }
      },
    }),
  ]
}
