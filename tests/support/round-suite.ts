import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import type { RoundKey } from '../../protocol/rounds/messages.ts'
import { call, type TestDevice } from './api.ts'
import {
  askKeys,
  enterService,
  makeFederation,
  openAnswer,
  openRound,
  ownRoundKey,
  type TestFederation,
  type TestParty,
} from './rounds.ts'
import { startTestService, type TestService } from './service.ts'
import { eventsOf } from './tenants.ts'

export type RoundSuite = ReturnType<typeof useRounds>

/** For the tests of a file one service, and for each of them a coordinator, a federation of two devices, and an open round. */
export function useRounds(options: Parameters<typeof startTestService>[0] = {}) {
  const suite = {
    service: {} as TestService,
    coordinator: {} as TestParty,
    devices: [] as TestParty[],
    federation: {} as TestFederation,
    round: {} as { round: number; path: string },

    first: () => suite.devices[0] as TestParty,
    second: () => suite.devices[1] as TestParty,
    epoch: () => bucketAt(suite.service.time.now),
    sql: (text: string, values: unknown[] = []) => suite.service.database.sql.query(text, values),
    ask: (deviceIds?: readonly string[]) => askKeys(suite.service, suite.coordinator, suite.round, deviceIds),
    asCoordinator: (method: string, path: string, body?: object) =>
      call(suite.service, method, path, { token: suite.coordinator.accessToken, body }),
    asAdmin: (method: string, path: string, body?: object) =>
      call(suite.service, method, path, { token: suite.service.adminToken, body }),
    told: (device: TestParty) =>
      call(suite.service, 'GET', `${suite.round.path}/membership`, { token: device.accessToken }),

    /** The keys that the coordinator is given, opened. */
    async given(deviceIds?: readonly string[]) {
      const answer = await suite.ask(deviceIds)
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
      return openAnswer(suite.coordinator, suite.federation, suite.round, answer)
    },

    async show() {
      return (await suite.asCoordinator('GET', suite.round.path)).body
    },

    join: (device: TestDevice) => suite.asCoordinator('PUT', `${suite.federation.path}/members/${device.deviceId}`),

    async organizationId(): Promise<string> {
      return (await suite.sql(`select id from organization where name = 'default'`)).rows[0].id
    },

    /** Of the federation. */
    async events(type: string) {
      const events = await eventsOf(suite.service, await suite.organizationId(), type)
      return events.filter(({ subject }) => subject.federationId === suite.federation.id)
    },

    /** That these are the keys of these devices, each as the device derives it by itself. */
    async expectOwnKeys(keys: readonly RoundKey[], of: readonly TestParty[]) {
      expect(keys.map(({ deviceId }) => deviceId)).toEqual(of.map(({ deviceId }) => deviceId).toSorted())
      for (const device of of) {
        const { body } = await suite.told(device)
        const found = keys.find(({ deviceId }) => deviceId === device.deviceId)
        expect(found).toMatchObject(body)
        expect(found?.key).toEqual(ownRoundKey(device, suite.federation, suite.round, body.epoch))
      }
    },
  }

  beforeAll(async () => {
    suite.service = await startTestService(options)
  })
  afterAll(() => suite.service.close())
  beforeEach(async () => {
    const { service } = suite
    // The middle of a bucket, so that no test crosses an edge by chance.
    service.time.now = (bucketAt(service.time.now) + 1) * BUCKET_MS + BUCKET_MS / 2
    await service.tick()
    suite.coordinator = await enterService(service, 'coordinator')
    suite.devices = [await enterService(service), await enterService(service)]
    suite.federation = await makeFederation(service, suite.coordinator, suite.devices)
    suite.round = await openRound(service, suite.coordinator, suite.federation)
  })
  return suite
}
