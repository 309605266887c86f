import { describe, expect, test } from 'vitest'
import { seedMembers } from '../../bench/rounds/seed-members.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { communicationKey, roundContext } from '../../protocol/exchange/epochs.ts'
import { newId } from '../../runtime/ids.ts'
import { enrollTestDevice } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { useRounds } from '../support/round-suite.ts'
import {
  askKeys,
  enterService,
  exchangeAgain,
  makeFederation,
  openAnswer,
  openRound,
  type TestParty,
} from '../support/rounds.ts'
import { crypto } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

const suite = useRounds()

describe('a device that gets no key stops nobody', () => {
  test('of five hundred in one call, each by its own reason', async () => {
    const bucket = suite.epoch()
    const epochKeys = await suite.service.getEpochKeys(bucket, bucket + 2)
    const of = { organizationId: await suite.organizationId(), id: suite.federation.id }
    const members = await seedMembers(suite.service.database.sql, crypto, of, { count: 500, bucket, epochKeys })
    const [removed, suspended, revoked, moved, contraindicated, other, ended] = members
    const idOf = (member: { deviceId: string } | undefined) => member?.deviceId ?? ''
    const sessionless = await enrollTestDevice(suite.service)
    await suite.join(sessionless)
    const stranger = await enterService(suite.service)
    const foreign = await enterService(await makeTenant(suite.service, newId()))
    expect((await suite.given()).keys).toHaveLength(502)

    await suite.asCoordinator('DELETE', `${suite.federation.path}/members/${idOf(removed)}`)
    expect((await suite.asAdmin('POST', `/v1/devices/${idOf(suspended)}/suspend`, {})).status).toBe(200)
    expect((await suite.asAdmin('POST', `/v1/devices/${idOf(revoked)}/revoke`, {})).status).toBe(200)
    expect((await suite.asAdmin('DELETE', `/v1/sessions/${ended?.sessionId}`)).status).toBe(204)
    // A chain of another session in its place does not open, and one of another epoch neither.
    await suite.sql('update session set chains = (select chains from session where id = $2) where id = $1', [
      moved?.sessionId,
      other?.sessionId,
    ])
    await suite.sql(`update attestation_result set tier = 'contraindicated' where principal_id = $1`, [
      idOf(contraindicated),
    ])
    const expected = {
      [idOf(removed)]: 'not_member',
      [idOf(suspended)]: 'not_active',
      [idOf(revoked)]: 'not_active',
      [idOf(ended)]: 'no_session',
      [sessionless.deviceId]: 'no_session',
      [idOf(moved)]: 'epoch_unavailable',
      [idOf(contraindicated)]: 'tier_refused',
    }
    const { keys, refused } = await suite.given()
    expect(refused).toEqual(expected)
    expect(keys).toHaveLength(502 - 6)
    const context = roundContext(suite.federation.id, suite.round.round)
    for (const { sessionId, key } of keys.slice(0, 50)) {
      const member = members.find((candidate) => candidate.sessionId === sessionId)
      if (member === undefined) continue
      const own = communicationKey(crypto, member.chain, { sessionId, epoch: bucket, purpose: 'round', context })
      expect(key).toEqual(own)
    }
    const unknown = newId()
    const named = await suite.given([
      unknown,
      stranger.deviceId,
      foreign.deviceId,
      suite.first().deviceId,
      idOf(removed),
    ])
    expect(named.keys.map(({ deviceId }) => deviceId)).toEqual([suite.first().deviceId])
    expect(named.refused).toEqual(
      Object.fromEntries([unknown, stranger.deviceId, foreign.deviceId, idOf(removed)].map((id) => [id, 'not_member'])),
    )
  })

  test('when its chain cannot be opened any more, and the coordinator is told so of its own', async () => {
    const bucket = suite.epoch()
    await suite.sql(`update session set last_epoch = bucket, chains = substring(chains for 99) where id = $1`, [
      suite.first().sessionId,
    ])
    suite.service.time.now += BUCKET_MS
    await suite.service.tick()
    suite.coordinator = await exchangeAgain(suite.service, suite.coordinator)
    const { keys, refused } = await suite.given()
    expect(refused).toEqual({ [suite.first().deviceId]: 'epoch_unavailable' })
    expect(keys.map(({ epoch: of }) => of)).toEqual([bucket + 1])
    await suite.sql('update session set chains = $2 where id = $1', [
      suite.coordinator.sessionId,
      Buffer.concat(Array.from({ length: 13 }, () => crypto.randomBytes(99))),
    ])
    const lost = await suite.ask()
    expectRefusal(lost, 409, 'session_state')
    expect(lost.body.detail).toMatch(/no key of this epoch/)
  })

  test('when its session is that of another device in the database: nobody takes its place with his own', async () => {
    const [attacker, victim] = [suite.first(), suite.second()]
    await suite.sql('update principal set active_session_id = null where id = $1', [attacker.deviceId])
    await suite.sql('update session set principal_id = $2 where id = $1', [attacker.sessionId, victim.deviceId])
    const name = [attacker.sessionId, victim.deviceId]
    await suite.sql('update principal set active_session_id = $1 where id = $2', name)
    const { keys, refused } = await suite.given()
    expect(keys).toEqual([])
    expect(refused).toEqual({ [attacker.deviceId]: 'no_session', [victim.deviceId]: 'epoch_unavailable' })
  })

  test('when the policy asks for more; a coordinator without it gets none at all', async () => {
    const strict = await makeFederation(suite.service, suite.coordinator, suite.devices, 'production')
    const strictRound = await openRound(suite.service, suite.coordinator, strict)
    const refused = await askKeys(suite.service, suite.coordinator, strictRound)
    expectRefusal(refused, 403, 'attestation_required')
    const attest = (party: TestParty, tier: string, appraisedAt: number, sessionId: string | null = party.sessionId) =>
      suite.sql('update attestation_result set tier = $2, appraised_at = $3, session_id = $4 where principal_id = $1', [
        party.deviceId,
        tier,
        new Date(appraisedAt),
        sessionId,
      ])
    const { now } = suite.service.time
    await attest(suite.coordinator, 'affirming', now)
    await attest(suite.first(), 'affirming', now)
    await attest(suite.second(), 'warning', now)
    const codes = async () =>
      openAnswer(suite.coordinator, strict, strictRound, await askKeys(suite.service, suite.coordinator, strictRound))
        .refused
    expect(await codes()).toEqual({ [suite.second().deviceId]: 'tier_refused' })
    for (const sessionId of [null, suite.first().sessionId]) {
      await attest(suite.second(), 'affirming', now, sessionId)
      expect(await codes(), 'of another session').toEqual({ [suite.second().deviceId]: 'attestation_stale' })
    }
    await attest(suite.second(), 'affirming', now)
    expect(await codes()).toEqual({})
    // One millisecond before its age, and at it: access tokens live for five minutes only.
    suite.service.time.now = now + 240_000
    await attest(suite.first(), 'affirming', suite.service.time.now - 600_000)
    await attest(suite.second(), 'affirming', suite.service.time.now - 600_001)
    expect(await codes()).toEqual({ [suite.second().deviceId]: 'attestation_stale' })
    for (const [missed, code] of [
      [1, {}],
      [2, { [suite.second().deviceId]: 'attestation_overdue' }],
    ] as const) {
      await attest(suite.second(), 'affirming', suite.service.time.now)
      await suite.sql('update principal set attestations_missed = $2 where id = $1', [suite.second().deviceId, missed])
      expect(await codes()).toEqual(code)
    }
  })
})
