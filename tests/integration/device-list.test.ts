import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  createToken,
  makeIdentity,
  openExchange,
  signCompletion,
  startEnrollment,
  type TestDevice,
} from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let since: number

/** By name; the newest last. */
const fleet = {
  'camera 1': { type: 'camera', capabilities: ['cuda', 'tpm'] },
  'camera 2': { type: 'camera', capabilities: ['tpm'] },
  camera_2: { type: 'camera.old', capabilities: [] },
  'Camera 3': { capabilities: ['cuda'] },
  coordinator: { kind: 'coordinator', type: 'camera' },
  caméra: {},
  '\u{1F4F7} 1': {},
} as const

beforeAll(async () => {
  service = await startTestService()
  const devices: TestDevice[] = []
  for (const [name, wish] of Object.entries(fleet)) {
    const kind = 'kind' in wish ? wish.kind : 'device'
    const { credential } = await createToken(service, { kind: 'device', ...wish, name })
    const started = await startEnrollment(service, credential)
    const identity = makeIdentity()
    const body = signCompletion(started, identity.identityKey, { name, kind })
    const { body: enrolled } = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
    devices.push({ deviceId: enrolled.deviceId, ...identity })
  }
  const [first, second] = devices as [TestDevice, TestDevice]
  await openExchange(service, first)
  since = service.time.now
  service.time.now += 1000
  await openExchange(service, second)
  const act = (i: number, action: string) =>
    call(service, 'POST', `/v1/devices/${devices[i]?.deviceId}/${action}`, { token: service.adminToken, body: {} })
  await act(2, 'suspend')
  await act(3, 'revoke')
})
afterAll(() => service.close())

async function names(query: string): Promise<string[]> {
  const { status, body } = await call(service, 'GET', `/v1/devices?${query}`, { token: service.adminToken })
  expect(status).toBe(200)
  return body.items.map(({ name }: { name: string }) => name)
}

describe('the list of devices', () => {
  test.each([
    ['status=SUSPENDED', ['camera_2']],
    ['status=REVOKED', ['Camera 3']],
    ['status=QUARANTINED', []],
    ['kind=coordinator', ['coordinator']],
    ['type=camera', ['coordinator', 'camera 2', 'camera 1']],
    ['type=camera&kind=device', ['camera 2', 'camera 1']],
    ['type=camera&status=SUSPENDED', []],
    ['capability=tpm', ['camera 2', 'camera 1']],
    ['capability=cuda', ['Camera 3', 'camera 1']],
    ['capability=t', []],
    ['name=camera%201', ['camera 1']],
    ['name=camera', []],
    ['namePrefix=camera', ['camera_2', 'camera 2', 'camera 1']],
    ['namePrefix=camera%20', ['camera 2', 'camera 1']],
    ['namePrefix=camera_', ['camera_2']],
    ['namePrefix=c', ['caméra', 'coordinator', 'camera_2', 'camera 2', 'camera 1']],
    ['namePrefix=%25', []],
    [`namePrefix=${encodeURIComponent('\u{1F4F7}')}`, ['\u{1F4F7} 1']],
    ['namePrefix=cam%C3%A9', ['caméra']],
  ])('filters by %s', async (query, expected) => {
    expect(await names(query)).toEqual(expected)
  })

  test('filters by when a device was last seen; one that never was is neither before nor after', async () => {
    expect(await names(`lastSeenAfter=${since}`)).toEqual(['camera 2'])
    expect(await names(`lastSeenBefore=${since}`)).toEqual([])
    expect(await names(`lastSeenBefore=${since + 1}`)).toEqual(['camera 1'])
    expect(await names('lastSeenAfter=0')).toEqual(['camera 2', 'camera 1'])
    expect(await names('lastSeenBefore=999999999999999')).toEqual(['camera 2', 'camera 1'])
    expect(await names(`lastSeenAfter=${since - 1}&lastSeenBefore=${since + 1}`)).toEqual(['camera 1'])
  })

  test('keeps its filter from page to page', async () => {
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const rest: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page = await call(service, 'GET', `/v1/devices?type=camera&limit=1${rest}`, { token: service.adminToken })
      seen.push(...page.body.items.map(({ name }: { name: string }) => name))
      cursor = page.body.nextCursor
    }
    expect(seen).toEqual(['coordinator', 'camera 2', 'camera 1'])
  })

  test.each([
    ['type=A', 'type'],
    ['type=', 'type'],
    ['capability=a,b', 'capability'],
    ['name=', 'name'],
    [`namePrefix=${'n'.repeat(129)}`, 'namePrefix'],
    ['lastSeenBefore=-1', 'lastSeenBefore'],
    ['lastSeenAfter=1e3', 'lastSeenAfter'],
    ['lastSeenAfter=9999999999999999', 'lastSeenAfter'],
    ['status=active', 'status'],
    ['colour=red', 'colour'],
    ['type=a&type=b', 'type'],
  ])('refuses %s', async (query, field) => {
    const answer = await call(service, 'GET', `/v1/devices?${query}`, { token: service.adminToken })
    expectRefusal(answer, 400, 'malformed', field)
  })
})
