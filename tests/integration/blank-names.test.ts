import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, createToken, enrollTestDevice, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let devicePath: string
beforeAll(async () => {
  service = await startTestService()
  devicePath = `/v1/devices/${(await enrollTestDevice(service)).deviceId}`
})
afterAll(() => service.close())

const admin = (method: string, path: string, body?: unknown) =>
  call(service, method, path, { token: service.adminToken, body })

/** Everything that people give a name to. */
const naming: Record<string, (name: string) => ReturnType<typeof call>> = {
  'an organization': (name) => admin('POST', '/v1/organizations', { name }),
  'an API token': (name) => admin('POST', '/v1/api-tokens', { name, roles: ['auditor'] }),
  'an enrolment token': (name) => admin('POST', '/v1/enrollment-tokens', { kind: 'device', name }),
  'a device that changes': (name) => admin('PATCH', devicePath, { name }),
}

const blanks = [' ', '   ', '\u00a0', '\u2003\u3000', '\u3164', '\u115f\u1160', '\u2800', '\ufe0f', '\u034f']

describe.each(Object.entries(naming))('%s', (_what, give) => {
  test.each(
    blanks.map((name) => [
      JSON.stringify(name).replace(/[^\x20-\x7e]/g, (c) => `U+${c.charCodeAt(0).toString(16)}`),
      name,
    ]),
  )('has no name that nobody sees: %s', async (_shown, name) => {
    const before = await databaseContents(service)
    expectRefusal(await give(name), 400, 'malformed', 'name')
    expect(await databaseContents(service)).toEqual(before)
  })

  test('has one that begins with a blank, or is one visible character of any script', async () => {
    for (const name of [' a', '.', 'é', '前', '🙂', 'ก็']) expect([200, 201]).toContain((await give(name)).status)
  })
})

test('a device does not enrol under a name that nobody sees, and its challenge is as it was', async () => {
  const { credential } = await createToken(service)
  const started = await startEnrollment(service, credential)
  const key = makeIdentity().identityKey
  const path = `/v1/enrollments/${started.enrollmentId}/complete`
  for (const name of blanks) {
    expectRefusal(
      await call(service, 'POST', path, { body: signCompletion(started, key, { name }) }),
      400,
      'malformed',
      'name',
    )
  }
  expect((await call(service, 'POST', path, { body: signCompletion(started, key) })).status).toBe(201)
})

test('a list of devices is filtered by how a name begins, which may be a blank', async () => {
  await admin('PATCH', devicePath, { name: ' a' })
  const { status, body } = await admin('GET', '/v1/devices?namePrefix=%20')
  expect({ status, names: body.items.map(({ name }: { name: string }) => name) }).toEqual({
    status: 200,
    names: [' a'],
  })
})
