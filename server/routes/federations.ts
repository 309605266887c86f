import { z } from 'zod'
import { federation, federationMember, federationRequest } from '../../protocol/rounds/messages.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { FederationMembers } from '../services/federation-members.ts'
import type { Federation, Federations } from '../services/federations.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject(pageQuery)

export function federationRoutes(federations: Federations): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/federations',
      access: 'coordinator',
      summary: 'Make a federation, whose maker is its first coordinator',
      body: federationRequest,
      answers: { 201: { description: 'The federation.', body: federation, hasLocation: true } },
      errors: ['name_taken'],
      async answer({ caller, body: { name, policy }, requestId }) {
        const made = await federations.create(caller, { name, policy }, requestId)
        return { status: 201, body: toJson(made), headers: { location: `/v1/federations/${made.id}` } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations',
      access: 'operator_or_coordinator',
      summary: 'List federations, newest first: all of them, or those that a coordinator is assigned to',
      query: listQuery,
      answers: { 200: { description: 'A page of federations.', body: pageOf(federation) } },
      async answer({ caller, query: { limit, cursor } }) {
        const page = toPage(await federations.list(caller, { limit: limit + 1, beforeId: cursor }), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id',
      access: 'operator_or_coordinator',
      summary: 'Show a federation',
      answers: { 200: { description: 'The federation.', body: federation } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await federations.get(caller, parseId(params))) }
      },
    }),
  ]
}

export function federationMemberRoutes(members: FederationMembers): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/members',
      access: 'operator_or_coordinator',
      summary: 'List the members of a federation, by their ids',
      query: listQuery,
      answers: { 200: { description: 'A page of members.', body: pageOf(federationMember) } },
      async answer({ caller, params, query: { limit, cursor } }) {
        const found = await members.listMembers(caller, parseId(params), { limit: limit + 1, afterId: cursor })
        const page = toPage(
          found.map((member) => ({ ...member, id: member.deviceId })),
          limit,
        )
        const items = page.items.map(({ deviceId, addedAt }) => ({ deviceId, addedAt }))
        return { status: 200, body: { ...page, items } }
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/federations/:id/members/:deviceId',
      access: 'coordinator',
      summary: 'Let a device be a member of a federation',
      answers: { 204: { description: 'It is one, or was before.' } },
      async answer({ caller, params, requestId }) {
        await members.addMember(caller, parseId(params), parseId(params, 'deviceId'), requestId)
        return { status: 204 }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/federations/:id/members/:deviceId',
      access: 'coordinator',
      summary: 'Take a device out of a federation',
      answers: { 204: { description: 'It is no member, and is given no more keys.' } },
      async answer({ caller, params, requestId }) {
        await members.removeMember(caller, parseId(params), parseId(params, 'deviceId'), requestId)
        return { status: 204 }
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/federations/:id/coordinators/:principalId',
      access: 'operator_or_coordinator',
      summary: 'Assign a coordinator to a federation; for operators, and who made the federation',
      answers: { 204: { description: 'It is assigned, or was before.' } },
      async answer({ caller, params, requestId }) {
        await members.addCoordinator(caller, parseId(params), parseId(params, 'principalId'), requestId)
        return { status: 204 }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/federations/:id/coordinators/:principalId',
      access: 'operator_or_coordinator',
      summary: 'Take a coordinator off a federation; for operators, and who made the federation',
      answers: { 204: { description: 'It is not assigned.' } },
      async answer({ caller, params, requestId }) {
        await members.removeCoordinator(caller, parseId(params), parseId(params, 'principalId'), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson({ id, name, policy, createdAt }: Federation): z.input<typeof federation> {
  return { id, name, policy, createdAt }
}
