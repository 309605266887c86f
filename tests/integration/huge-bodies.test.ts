import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, createToken, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import {
  type BodyRouteName,
  bodyRouteNames,
  makeBodyRequests,
  maxBodyBytes,
  openBodies,
} from '../support/body-requests.ts'
import { type HugeValue, key, listHugeValues, MEMBERS, notUtf8 } from '../support/huge-bodies.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

/** What the parser itself costs: tests/unit/server/strict-json.test.ts. What evidence of each format costs: its fuzzing tests. */

let service: TestService
let requests: Awaited<ReturnType<typeof makeBodyRequests>>
let contents: Record<string, string>

beforeAll(async () => {
  service = await startTestService()
  requests = await makeBodyRequests(service)
  contents = await databaseContents(service)
})
afterAll(() => service.close())

async function expectNothingStored(): Promise<void> {
  expect(await databaseContents(service)).toEqual(contents)
}

function send(name: BodyRouteName, raw: string | Uint8Array) {
  const { method, path, token } = requests[name]
  return call(service, method, path, { token, raw })
}

const limitOf = (name: BodyRouteName) => maxBodyBytes[name] ?? 65_536

/** The request with one more member, or with another value of one that it has; the value is written as it is. */
function write(name: BodyRouteName, member: string, json: string): string {
  const text = JSON.stringify({
    [member]: '<here>',
    ...requests[name].body,
    ...(member === 'more' ? {} : { [member]: '<here>' }),
  })
  return text.replace('"<here>"', () => json)
}

/** As long as fits, and no longer than parsing it makes a difference. */
function hugeValuesOf(name: BodyRouteName, member: string): HugeValue[] {
  return listHugeValues(Math.min(limitOf(name) - write(name, member, '').length, 1_000_000), 1)
}

/** What differs in what a schema makes of it, not in how it is parsed. */
const forSchemas = /10,000 (members|numbers|digits)|text as long/

/** One of each limit, for what all of them leave to the one parser. */
const ofEachLimit = bodyRouteNames.filter(
  (name, at) => bodyRouteNames.findIndex((other) => limitOf(other) === limitOf(name)) === at,
)

describe.each(bodyRouteNames)('%s: nothing is stored and the answer is the documented one', (name) => {
  const named = (member: string) => (openBodies.has(name) ? undefined : member)

  test('for a huge value of each member that it has, and of one that it has not', async () => {
    for (const member of [...Object.keys(requests[name].body), 'more']) {
      for (const { what, json } of hugeValuesOf(name, member).filter((value) => forSchemas.test(value.what))) {
        const { status, body } = await send(name, write(name, member, json))
        expect({ status, code: body.code, what, member }).toEqual({ status: 400, code: 'malformed', what, member })
        // Of an open body nothing is named; elsewhere the member, or what is at fault within it.
        if (!openBodies.has(name)) expect(String(body.field).split('.')[0]).toBe(member)
      }
    }
    await expectNothingStored()
  })

  test('for 10,000 members beside its own, and for as many as fit', async () => {
    const members = Array.from({ length: MEMBERS }, (_, i) => `"${key(i)}":0,`)
    const own = JSON.stringify(requests[name].body).slice(1)
    const write = (count: number) => `{${members.slice(0, count).join('')}${own}`.replace(/,\}$/, '}')
    const isTooLong = write(MEMBERS).length > limitOf(name)
    if (isTooLong) expectRefusal(await send(name, write(MEMBERS)), 413, 'payload_too_large')
    else expectRefusal(await send(name, write(MEMBERS)), 400, 'malformed', named('0'))
    const fitting = members.findLastIndex((_, count) => write(count).length <= limitOf(name))
    expectRefusal(await send(name, write(fitting)), 400, 'malformed', named('0'))
    await expectNothingStored()
  })
})

describe.each(ofEachLimit)('%s: nothing is stored, and the body is refused', (name) => {
  test('for each huge value that is JSON, by its member, and for each that is none', async () => {
    for (const { what, json, isJson } of hugeValuesOf(name, 'more')) {
      const { status, body } = await send(name, write(name, 'more', json))
      const field = isJson ? 'more' : undefined
      expect({ status, code: body.code, field: body.field, what }).toEqual({
        status: 400,
        code: 'malformed',
        field,
        what,
      })
    }
    await expectNothingStored()
  })

  test('for a text that is no UTF-8', async () => {
    const [before = '', after = ''] = write(name, 'more', '"<text>"').split('<text>')
    for (const [what, bytes] of notUtf8) {
      const raw = Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)])
      const { status, body } = await send(name, raw)
      // No member is at fault: nothing was read.
      const answered = { status, code: body.code, field: body.field, what }
      expect(answered).toEqual({ status: 400, code: 'malformed', field: undefined, what })
    }
    await expectNothingStored()
  })
})

describe('evidence that is signed', () => {
  async function complete(evidence: unknown[]) {
    const { credential } = await createToken(service)
    const started = await startEnrollment(service, credential)
    const body = signCompletion(started, makeIdentity().identityKey, { evidence: evidence as [] })
    return call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  }
  const claims = Object.fromEntries(Array.from({ length: MEMBERS }, (_, i) => [`claim-${key(i)}`, i]))

  test('may claim 10,000 things, as long as it is within its size', async () => {
    expect((await complete([{ format: 'none', claims }])).status).toBe(201)
  })

  test('is refused for 10,000 members that its format has not, for 10,000 pieces, and for more levels than there may be', async () => {
    const deep = JSON.parse(`${'['.repeat(6)}${']'.repeat(6)}`)
    expectRefusal(await complete([{ format: 'none', ...claims }]), 400, 'malformed', 'evidence')
    expectRefusal(
      await complete(Array.from({ length: MEMBERS }, () => ({ format: 'none' }))),
      400,
      'malformed',
      'evidence',
    )
    expectRefusal(await complete([{ format: 'none', claims: { deep } }]), 400, 'malformed')
  })
})
