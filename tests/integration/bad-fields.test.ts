import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fromBase64url, type Json, toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import { call, createToken, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { type BodyRequest, type BodyRouteName, makeBodyRequests } from '../support/body-requests.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

type Body = Record<string, Json>

let service: TestService
let contents: Record<string, string>
let requests: Record<BodyRouteName, BodyRequest>

beforeAll(async () => {
  service = await startTestService()
  requests = await makeBodyRequests(service)
})
afterAll(() => service.close())
beforeEach(async () => {
  contents = await databaseContents(service)
})

async function expectNothingStored(): Promise<void> {
  expect(await databaseContents(service)).toEqual(contents)
}

/** Sends the request with one member, given by its path, replaced by JSON text. */
async function sendWith(name: BodyRouteName, field: string, text: string) {
  const { method, path, token, body } = requests[name]
  const copy = structuredClone(body)
  const [last = '', ...parents] = field.split('.').reverse()
  let place = copy
  for (const key of parents.reverse()) place = place[key] as Body
  place[last] = '<here>'
  const raw = JSON.stringify(copy).replace('"<here>"', () => text)
  return call(service, method, path, { token, raw })
}

function valueOf(name: BodyRouteName, field: string): string {
  return field.split('.').reduce<Json>((value, key) => (value as Body)[key] as Json, requests[name].body) as string
}

const noText = ['1', 'true', 'null', '[]', '{}', '["x"]']
const noInteger = ['"1"', '""', '1.5', '-1', '9007199254740993', '1e400', '-1e400', 'true', 'null', '[1]']

/** What is not exactly the bytes that are asked for. */
function badBytes(value: string): string[] {
  const bytes = fromBase64url(value)
  const wrong = [
    '',
    value.slice(0, -1),
    `${value}=`,
    `${value}A`,
    `${value}AAAA`,
    ` ${value}`,
    `${value}\\n`,
    `${value.slice(0, -1)}+`,
    `${value.slice(0, -1)}é`,
    `!${value.slice(1)}`,
    toBase64url(bytes.subarray(1)),
    Buffer.concat([bytes, Buffer.of(0)]).toString('base64url'),
    'A'.repeat(50_000),
  ]
  // Another last character with the same bytes and trailing bits that are not zero.
  if (bytes.length % 3 !== 0) wrong.push(`${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'z'}`)
  return [...wrong.map((text) => `"${text}"`), ...noText]
}

const uuidText = '01a20227-1843-7d48-a167-88732ea3b54d'
const badUuids = ['', 'x', uuidText.toUpperCase(), uuidText.replaceAll('-', ''), `{${uuidText}}`, ` ${uuidText}`]

describe('a member is named when it holds', () => {
  test.each([
    ['complete', 'identityKey.publicKey'],
    ['complete', 'signature'],
    ['exchange', 'nonce'],
    ['exchange', 'clientKey'],
    ['exchange', 'ciphertext'],
    ['exchange', 'signature'],
    ['confirm', 'confirmation'],
    ['renew', 'nonce'],
    ['renew', 'proof'],
    ['close', 'aggregateHash'],
  ] as const)('bytes that are not base64url or of another length: %s %s', async (name, field) => {
    for (const text of badBytes(valueOf(name, field))) {
      expectRefusal(await sendWith(name, field, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each([
    ['exchange', 'deviceId'],
    ['confirm', 'deviceId'],
    ['renew', 'deviceId'],
    ['membership', 'sessionId'],
    ['roundKeys', 'deviceIds.0'],
    ['close', 'participants.0'],
  ] as const)('what is no canonical UUID: %s %s', async (name, field) => {
    for (const text of [...badUuids.map((bad) => `"${bad}"`), ...noText]) {
      expectRefusal(await sendWith(name, field, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each([
    ['roundKeys', 'deviceIds'],
    ['close', 'participants'],
  ] as const)('what is no list of devices, each of them once: %s %s', async (name, field) => {
    const tooMany = Array.from({ length: 10_001 }, () => newId())
    const twice = [uuidText, newId(), uuidText]
    for (const text of [JSON.stringify(tooMany), JSON.stringify(twice), `"${uuidText}"`, '{}', '1', 'null']) {
      expectRefusal(await sendWith(name, field, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each([
    ['exchange', 'bucket', []],
    ['renew', 'epoch', []],
    ['token', 'ttlSeconds', ['59', '2592001', '0']],
    ['round', 'round', ['0', '1000000000000000', '9007199254740991']],
    ['round', 'minParticipants', ['0', '10001']],
    ['membership', 'epoch', []],
  ] as const)('what is no integer, or out of its range: %s %s', async (name, field, outOfRange) => {
    for (const text of [...noInteger, ...outOfRange]) {
      expectRefusal(await sendWith(name, field, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each([
    ['exchange', 'suite', 'ml-kem-1024'],
    ['complete', 'kind', 'Device'],
    ['complete', 'identityKey.alg', 'ML-DSA-43'],
    ['token', 'kind', 'operator'],
    ['token', 'policyId', 'None'],
    ['federation', 'policy', 'Production'],
    ['membership', 'status', 'given'],
  ] as const)('a value that is not one of its own: %s %s', async (name, field, other) => {
    for (const text of [`"${other}"`, '""', '"__proto__"', '"toString"', ...noText]) {
      expectRefusal(await sendWith(name, field, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each(['token', 'complete', 'federation'] as const)(
    'a name with other than visible characters: %s name',
    async (name) => {
      const bad = ['', 'a\\u0000', '\\n', '\\u001b[2J', '\\u007f', '\\u0085', '\\u202e', '\\u200b', 'a'.repeat(129)]
      for (const text of [...bad.map((each) => `"${each}"`), ...noText]) {
        expectRefusal(await sendWith(name, 'name', text), 400, 'malformed', 'name')
      }
      await expectNothingStored()
    },
  )
})

describe('nested members of an enrolment', () => {
  test('are named when they are not known, and when they are missing', async () => {
    const [alg, publicKey] = ['alg', 'publicKey'].map((key) =>
      JSON.stringify(valueOf('complete', `identityKey.${key}`)),
    )
    const cases: [string, string, string][] = [
      ['identityKey', `{"alg":${alg},"publicKey":${publicKey},"use":"sig"}`, 'identityKey.use'],
      ['identityKey', `{"publicKey":${publicKey}}`, 'identityKey.alg'],
      ['identityKey', '"text"', 'identityKey'],
      ['evidence', '{}', 'evidence'],
      ['evidence', '[]', 'evidence'],
      ['evidence', `[${Array.from({ length: 9 }, () => '{"format":"none"}').join(',')}]`, 'evidence'],
      ['evidence', '[{"format":"none"},1]', 'evidence.1'],
      ['metadata', '[]', 'metadata'],
      ['metadata', '"text"', 'metadata'],
    ]
    for (const [member, text, field] of cases) {
      expectRefusal(await sendWith('complete', member, text), 400, 'malformed', field)
    }
    await expectNothingStored()
  })

  test.each(['null', '{}', '[1]', '1e400', `"${'x'.repeat(257)}"`])(
    'metadata is text of 256 characters, a number or a boolean, and not %s',
    async (text) => {
      expectRefusal(await sendWith('complete', 'metadata', `{"a":1,"b":${text}}`), 400, 'malformed', 'metadata.b')
      await expectNothingStored()
    },
  )

  test.each([33, 10_000])('metadata of %i members is refused', async (count) => {
    const members = Array.from({ length: count }, (_, i) => `"k${i}":${i}`)
    expectRefusal(await sendWith('complete', 'metadata', `{${members.join(',')}}`), 400, 'malformed', 'metadata')
    await expectNothingStored()
  })

  test.each([
    ['a value', '{"a":"x\\u0000"}'],
    ['a name', '{"a\\u0000":1}'],
  ])('metadata with a NUL in %s is refused, not a defect', async (_place, text) => {
    const answer = await sendWith('complete', 'metadata', text)
    expectRefusal(answer, 400, 'malformed', answer.body.field)
    expect(answer.body.field).toMatch(/^metadata/)
    await expectNothingStored()
  })

  test.each([
    ['metadata', '{"a":"\\ud800"}'],
    ['metadata', '{"\\udc00":1}'],
    ['evidence', '[{"format":"none","claims":{"a":["\\ud800"]}}]'],
    ['evidence', '[{"format":"none","claims":{"\\ud800":1}}]'],
  ])('a lone surrogate is refused, not a defect: %s %s', async (member, text) => {
    expectRefusal(await sendWith('complete', member, text), 400, 'malformed')
    await expectNothingStored()
  })

  test('evidence may be large, and its claims 8 levels deep with the body', async () => {
    for (const claims of [{ log: 'x'.repeat(900_000) }, { a: { b: { c: { d: 1 } } } }]) {
      const { credential } = await createToken(service)
      const started = await startEnrollment(service, credential)
      const body = signCompletion(started, makeIdentity().identityKey, { evidence: [{ format: 'none', claims }] })
      const answer = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
      expect(answer.status).toBe(201)
    }
  })
})

describe('an id in a path', () => {
  const cases: [method: string, path: string, request?: BodyRouteName][] = [
    ['GET', '/v1/devices/:id'],
    ['POST', '/v1/devices/:id/revoke', 'revoke'],
    ['GET', '/v1/sessions/:id'],
    ['DELETE', '/v1/sessions/:id'],
    ['DELETE', '/v1/enrollment-tokens/:id'],
    ['POST', '/v1/enrollments/:id/complete', 'complete'],
    ['POST', '/v1/exchanges/:id/confirm', 'confirm'],
    ['POST', '/v1/sessions/:id/tokens', 'renew'],
    ['GET', '/v1/federations/:id'],
    ['POST', '/v1/federations/:id/rounds', 'round'],
    ['POST', '/v1/federations/:id/rounds/1/keys', 'roundKeys'],
    ['POST', '/v1/federations/:id/rounds/1/membership', 'membership'],
    ['POST', '/v1/federations/:id/rounds/1/close', 'close'],
    ['PUT', '/v1/federations/<own>/members/:id'],
    ['DELETE', '/v1/federations/<own>/members/:id'],
    ['PUT', '/v1/federations/<own>/coordinators/:id'],
    ['DELETE', '/v1/federations/<own>/coordinators/:id'],
    ['POST', '/v1/jobs/:id/run', 'runJob'],
    ['POST', '/v1/jobs/failed/:id/retry', 'retryJob'],
  ]

  function send(method: string, path: string, id: string, request: BodyRouteName | undefined) {
    const own = requests.round.path.split('/')[3] ?? ''
    const { token = service.adminToken, body } = request === undefined ? {} : requests[request]
    return call(service, method, path.replace('<own>', own).replace(':id', id), { token, body })
  }

  test.each(cases)('that is no UUID or that nobody has is not found: %s %s', async (method, path, request) => {
    const ids = [...badUuids.filter(Boolean), newId(), '%00', "'", '..%2f..', 'x'.repeat(2000), '%F0%9F%98%80']
    for (const id of ids) expectRefusal(await send(method, path, id, request), 404, 'not_found')
    await expectNothingStored()
  })

  test.each(cases)('with a bad percent-encoding is malformed: %s %s', async (method, path, request) => {
    for (const id of ['%', '%zz', '%E0%A4%A', '%C0%AF', `${uuidText}%`]) {
      expectRefusal(await send(method, path, id, request), 400, 'malformed')
    }
    await expectNothingStored()
  })

  test.each(['roundKeys', 'membership', 'close'] as const)(
    'that is no round, or none yet, is not found: %s',
    async (name) => {
      const { path } = requests[name]
      const rounds = ['0', '2', '01', '-1', '%2B1', '1e0', 'x', '%00', '9'.repeat(15), '9'.repeat(20)]
      for (const round of rounds) {
        const answer = await send('POST', path.replace(/\/1\//, `/${round}/`), '', name)
        expectRefusal(answer, 404, 'not_found')
      }
      await expectNothingStored()
    },
  )
})
