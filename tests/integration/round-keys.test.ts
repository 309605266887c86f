import { describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { exchangeAnswer } from '../../protocol/exchange/messages.ts'
import { newId } from '../../runtime/ids.ts'
import { call, confirm, enrollTestDevice, fetchCertificates, initiate, refusal, sendExchange } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { useRounds } from '../support/round-suite.ts'
import { askKeys, enterService, exchangeAgain, openAnswer, type TestParty } from '../support/rounds.ts'
import { crypto } from '../support/service.ts'

const suite = useRounds()

describe('the keys of a round', () => {
  test('are those that each device derives by itself, and lie nowhere in clear', async () => {
    const answer = await suite.ask()
    const { keys, refused } = openAnswer(suite.coordinator, suite.federation, suite.round, answer)
    expect(refused).toEqual({})
    await suite.expectOwnKeys(keys, suite.devices)
    expect((await suite.told(suite.first())).body).toEqual({ sessionId: suite.first().sessionId, epoch: suite.epoch() })
    const { rows } = await suite.sql('select p::text as participant from round_participant p')
    const [event] = await suite.events('round.keys_given')
    expect(event).toMatchObject({ data: { epoch: suite.epoch(), given: 2, refused: 0 } })
    const seen = JSON.stringify([answer.body, rows, event])
    for (const { key } of keys) {
      expect(seen).not.toContain(toBase64url(key))
      expect(seen).not.toContain(Buffer.from(key).toString('hex'))
    }
  })

  test('are sealed for the session that asks: no other coordinator of the federation opens them', async () => {
    const other = await enterService(suite.service, 'coordinator')
    const path = `${suite.federation.path}/coordinators/${other.deviceId}`
    expect((await call(suite.service, 'PUT', path, { token: suite.coordinator.accessToken })).status).toBe(204)
    const answer = await askKeys(suite.service, other, suite.round)
    expect(answer.body.sealed.sessionId).toBe(other.sessionId)
    expect(() => openAnswer(suite.coordinator, suite.federation, suite.round, answer)).toThrow(/not what was sealed/)
    expect(() => openAnswer(other, suite.federation, { round: suite.round.round + 1 }, answer)).toThrow(
      /not what was sealed/,
    )
    expect(openAnswer(other, suite.federation, suite.round, answer).keys).toEqual((await suite.given()).keys)
  })

  test('are the same when they are asked for again, and at once; each time is in the log', async () => {
    const before = await suite.given()
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => suite.given()))
    for (const answer of answers) expect(answer).toEqual(before)
    expect(await suite.show()).toMatchObject({ state: 'OPEN', participants: 2, epochGone: 0 })
    const logged = await suite.events('round.keys_given')
    expect(logged).toHaveLength(6)
    expect(new Set(logged.map(({ data }) => data.givenHash)).size).toBe(1)
  })

  test('of a later epoch replace the old, and are written down in their place', async () => {
    const before = await suite.given()
    const { rows } = await suite.sql('select * from round_participant where federation_id = $1', [suite.federation.id])
    suite.service.time.now += BUCKET_MS
    await suite.service.tick()
    suite.coordinator = await exchangeAgain(suite.service, suite.coordinator)
    suite.devices[0] = await exchangeAgain(suite.service, suite.first())
    const after = await suite.given()
    expect(after.keys.map(({ epoch: of }) => of)).toEqual([suite.epoch(), suite.epoch()])
    for (const { key } of after.keys) expect(before.keys.map((old) => old.key)).not.toContainEqual(key)
    const [old] = rows.filter((row) => row.device_id === suite.second().deviceId)
    expect(old.epoch).toBe(String(suite.epoch() - 1))
    const now = await suite.sql('select epoch, session_id from round_participant where federation_id = $1', [
      suite.federation.id,
    ])
    expect(now.rows.map((row) => Number(row.epoch))).toEqual([suite.epoch(), suite.epoch()])
    expect(now.rows.map((row) => row.session_id)).toContain(suite.first().sessionId)
  })

  test('of a session of the next bucket, used early, are those of its first epoch, for device and coordinator', async () => {
    suite.service.time.now = (suite.epoch() + 1) * BUCKET_MS - 10_000
    await suite.service.tick()
    const before = suite.epoch()
    const next = (await call(suite.service, 'GET', '/v1/buckets')).body.certificates[1]
    expect(next.bucket).toBe(before + 1)
    const early = await enterNext()
    await suite.join(early)
    const { keys, refused } = await suite.given()
    expect(refused).toEqual({})
    expect(keys.find(({ deviceId }) => deviceId === early.deviceId)).toMatchObject({ epoch: before + 1 })
    await suite.expectOwnKeys(keys, [...suite.devices, early])
    suite.coordinator = await enterNext(suite.coordinator)
    const answer = await suite.ask()
    expect(answer.body.epoch).toBe(before + 1)
    expect(openAnswer(suite.coordinator, suite.federation, suite.round, answer).keys).toEqual(keys)
  })
})

/** In a session of the next bucket. */
async function enterNext(party?: TestParty): Promise<TestParty> {
  const entering = party ?? (await enrollTestDevice(suite.service))
  const [, certificate] = await fetchCertificates(suite.service)
  const initiated = await initiate(suite.service, entering, certificate)
  const opened = acceptAnswer(
    crypto,
    initiated,
    exchangeAnswer.parse((await sendExchange(suite.service, initiated.wire)).body),
  )
  const { body } = await confirm(suite.service, entering, opened)
  return { ...entering, ...opened, accessToken: body.accessToken }
}

describe('a coordinator', () => {
  test('asks in its newest session, not in one that was superseded', async () => {
    const old = suite.coordinator
    suite.coordinator = await exchangeAgain(suite.service, suite.coordinator)
    expectRefusal(await askKeys(suite.service, old, suite.round), 409, 'session_state')
    expect((await suite.given()).keys).toHaveLength(2)
  })

  test('that is revoked, or no longer assigned, gets none', async () => {
    const other = await enterService(suite.service, 'coordinator')
    expect(refusal(await askKeys(suite.service, other, suite.round))).toEqual({ status: 404, code: 'not_found' })
    const path = `${suite.federation.path}/coordinators/${suite.coordinator.deviceId}`
    expect((await suite.asAdmin('DELETE', path)).status).toBe(204)
    expectRefusal(await suite.ask(), 404, 'not_found')
    expect((await suite.asAdmin('PUT', path)).status).toBe(204)
    expect((await suite.ask()).status).toBe(200)
    await suite.asAdmin('POST', `/v1/devices/${suite.coordinator.deviceId}/revoke`, {})
    expectRefusal(await suite.ask(), 401, 'unauthenticated')
  })

  test('names each device once, and ten thousand at most', async () => {
    expectRefusal(await suite.ask([]), 400, 'malformed', 'deviceIds')
    expectRefusal(await suite.ask([suite.first().deviceId, suite.first().deviceId]), 400, 'malformed', 'deviceIds')
    const many = Array.from({ length: 10_000 }, () => newId())
    expect(Object.keys((await suite.given(many)).refused)).toHaveLength(10_000)
    expectRefusal(await suite.ask([...many, newId()]), 400, 'malformed', 'deviceIds')
  })
})
