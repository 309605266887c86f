import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { toTemplate } from '../../server/openapi.ts'
import { type AccessWorld, makeAccessWorld } from '../support/access/world.ts'
import { call } from '../support/api.ts'
import { getApiDocument } from '../support/api-document.ts'
import {
  type GeneratedRequest,
  type Ingredients,
  listOperations,
  type Operation,
  requestsOf,
  resolverOf,
  type Seed,
  targetOf,
} from '../support/api-requests.ts'
import { bodyRouteNames, bodyRoutes, makeBodyRequests } from '../support/body-requests.ts'
import { takeWrongAnswer } from '../support/check-answers-of-tests.ts'
import { createIsDescribed } from '../support/described-requests.ts'
import { FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import { databaseContents } from '../support/refusals.ts'
import type { TestService } from '../support/service.ts'
import { furnish, makeTenant } from '../support/tenants.ts'

/** Of all operations together: QFLARE_FUZZ_RUNS=100000 for a full run, whose requests are others each time. */
const requestCount = Number(process.env.QFLARE_FUZZ_RUNS ?? 2_000)
const seeded = process.env.QFLARE_FUZZ_RUNS === undefined ? { seed: 8 } : {}

const document = getApiDocument()
const operations = listOperations(document)
const isDescribed = createIsDescribed(document)
const outcomes = new Map<string, number>()

let service: TestService
let ingredients: Ingredients
beforeAll(async () => {
  const world = await makeAccessWorld()
  service = world.service
  ingredients = await gather(world)
})
afterAll(async () => {
  const counted = [...outcomes]
    .sort(([, one], [, other]) => other - one)
    .map(([outcome, count]) => `${outcome} ${count}`)
  console.log(`requests made from the OpenAPI document: ${counted.join(', ')}`)
  await service.close()
})

test.each(operations)(
  '$name answers whatever is sent as the document says, and stores nothing of what it refuses',
  async (operation) => {
    await fc.assert(
      fc.asyncProperty(requestsOf(operation, resolverOf(document), ingredients), (request) =>
        expectDescribed(operation, request),
      ),
      { numRuns: Math.ceil(requestCount / operations.length), ...seeded },
    )
  },
  FUZZ_TIMEOUT_MS,
)

async function expectDescribed(operation: Operation, request: GeneratedRequest): Promise<void> {
  const { method, headers, text } = request
  const before = await lookAtDatabase()
  const answer = await call(service, method, targetOf(request), {
    headers,
    ...(text === undefined ? {} : { raw: text }),
  })
  // Of this answer alone, compared with status, headers, content type and schema of the document.
  expect(takeWrongAnswer()).toBeUndefined()
  const outcome = answer.status < 400 ? String(answer.status) : String(answer.body.code)
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const isMissing = operation.path === '/v1/audit/checkpoint' && outcome === 'unavailable'
  if (!isMissing) expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(500)
  if (answer.status < 400) {
    expect(isDescribed(operation, request), 'taken, and the document does not allow it').toBe(true)
  } else {
    const stored = changesOf(before, await lookAtDatabase(), operation.path)
    expect(stored, `stored by a refusal: ${JSON.stringify(answer.body)}`).toEqual([])
  }
}

/** Beside events: what an attempt spends or ends, however it goes (docs/protocol.md §3, §4 and §8). */
const spentByAttempts: Record<string, string[]> = {
  '/v1/enrollments/{id}/credential': ['challenge'],
  '/v1/enrollments/{id}/complete': ['challenge'],
  '/v1/devices/{id}/rotate-identity/{challengeId}': ['rotation_challenge'],
  '/v1/attestations/{id}': ['attestation_challenge'],
  '/v1/exchanges/{id}/confirm': ['principal', 'session'],
}

interface Look {
  /** The server's: where it has not moved nobody wrote anything. */
  nextTransaction: string
  contents: Record<string, string>
}
let latest: Look | undefined

async function lookAtDatabase(): Promise<Look> {
  const { rows } = await service.database.sql.query<{ next: string }>(
    'select pg_snapshot_xmax(pg_current_snapshot())::text as next',
  )
  const nextTransaction = rows[0]?.next ?? ''
  if (latest?.nextTransaction !== nextTransaction) {
    latest = { nextTransaction, contents: await databaseContents(service) }
  }
  return latest
}

function changesOf(before: Look, after: Look, path: string): string[] {
  const allowed = new Set(['audit_outbox', ...(spentByAttempts[path] ?? [])])
  const changed = Object.keys(after.contents).filter((table) => after.contents[table] !== before.contents[table])
  return changed.filter((table) => !allowed.has(table))
}

/** One of everything of two organizations, and a good request of each route that takes a body. */
async function gather({ service, tokens }: AccessWorld): Promise<Ingredients> {
  const organization = await service.database.sql.query<{ id: string }>('select id from organization')
  const own = await furnish({ ...service, organizationId: organization.rows[0]?.id ?? '' })
  const foreign = await furnish(await makeTenant(service, 'elsewhere'))
  const requests = await makeBodyRequests(service)
  const seeds = bodyRouteNames.map((name): [string, Seed] => {
    const [method = '', path = ''] = bodyRoutes[name].split(' ')
    const { token, body, path: sent } = requests[name]
    const segments = sent.split('/')
    const named = path.split('/').flatMap((part, index) => (part.startsWith(':') ? [segments[index] ?? ''] : []))
    return [`${method.toLowerCase()} ${toTemplate(path)}`, { named, token, body }]
  })
  const { serviceAdmin, operator, auditor, device, coordinatorInSession } = tokens
  return {
    tokens: Object.values(tokens),
    strongTokens: [serviceAdmin, operator, auditor, device, coordinatorInSession, own.coordinator.accessToken],
    ids: new Map(Object.entries(own.ids).map(([path, id]) => [path, [id, foreign.ids[path] ?? id]])),
    seeds: new Map(seeds),
  }
}
