import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import {
  askKeys,
  enterService,
  makeFederation,
  openAnswer,
  openRound,
  ownRoundKey,
  type TestFederation,
  type TestParty,
} from '../support/rounds.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let coordinator: TestParty
let devices: TestParty[]
let federation: TestFederation

beforeAll(async () => {
  service = await startTestService()
  coordinator = await enterService(service, 'coordinator')
  devices = await Promise.all([0, 1, 2].map(() => enterService(service)))
  federation = await makeFederation(service, coordinator, devices)
})
afterAll(() => service.close())

test('the coordinator is given the key that each device derives by itself, and nothing of it is in clear', async () => {
  const round = await openRound(service, coordinator, federation)
  const answer = await askKeys(service, coordinator, round)
  expect(answer.status).toBe(200)
  const { keys, refused } = openAnswer(coordinator, federation, round, answer)
  expect(refused).toEqual({})
  expect(keys.map(({ deviceId }) => deviceId)).toEqual(devices.map(({ deviceId }) => deviceId).toSorted())
  for (const device of devices) {
    const told = await call(service, 'GET', `${round.path}/membership`, { token: device.accessToken })
    expect(told.body).toEqual({ sessionId: device.sessionId, epoch: bucketAt(service.time.now) })
    const given = keys.find(({ deviceId }) => deviceId === device.deviceId)
    expect(given?.key).toEqual(ownRoundKey(device, federation, round, told.body.epoch))
    expect(given).toMatchObject(told.body)
  }
})
