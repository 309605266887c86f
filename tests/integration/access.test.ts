import { afterAll, beforeAll, expect, test } from 'vitest'
import { listRoutes, type RouteParts } from '../../server/routes.ts'
import { attestationRows } from '../support/access/attestation-rows.ts'
import { coreRows } from '../support/access/core-rows.ts'
import { federationRows } from '../support/access/federation-rows.ts'
import { incidentRows } from '../support/access/incident-rows.ts'
import { inputRows } from '../support/access/input-rows.ts'
import { callers, type Outcomes } from '../support/access/outcomes.ts'
import { policyRows } from '../support/access/policy-rows.ts'
import { serviceRows } from '../support/access/service-rows.ts'
import { type AccessWorld, makeAccessWorld } from '../support/access/world.ts'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto } from '../support/service.ts'

/** Filled before the tests; the rows look into it when they are asked. */
const world = {} as AccessWorld
beforeAll(async () => {
  Object.assign(world, await makeAccessWorld())
})
afterAll(() => world.service.close())

/** What each caller gets on each route; of a route that anyone may call, only what its body proves makes a difference. */
const rows = {
  ...attestationRows(world),
  ...coreRows(world),
  ...federationRows(world),
  ...incidentRows(world),
  ...inputRows(world),
  ...policyRows(world),
  ...serviceRows(world),
}

test('every route of the service has a row here, and every row a route', () => {
  const parts = { crypto, metrics: {}, publishedKeys: {} } as unknown as RouteParts
  const routes = listRoutes(parts).map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(Object.keys(rows).toSorted()).toEqual(routes.toSorted())
})

test.each(Object.entries(rows))('%s lets in exactly those who may', async (name, { path, body, outcomes }) => {
  const [method = '', template = ''] = name.split(' ')
  const answers: Partial<Outcomes> = {}
  for (const caller of callers) {
    const sent = typeof body === 'function' ? await body() : body
    const answer = await call(world.service, method, (await path?.()) ?? template, {
      token: world.tokens[caller],
      body: sent,
    })
    answers[caller] = answer.status
    if (outcomes[caller] === 403) expectRefusal(answer, 403, 'forbidden')
    if (outcomes[caller] === 401 && outcomes.admin !== 401) {
      expectRefusal(answer, 401, 'unauthenticated')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  }
  expect(answers).toEqual(outcomes)
})
