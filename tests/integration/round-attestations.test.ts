import { expect, test } from 'vitest'
import { seedMembers } from '../../bench/rounds/seed-members.ts'
import { expectRefusal } from '../support/refusals.ts'
import { useRounds } from '../support/round-suite.ts'
import { askKeys, makeFederation, openAnswer, openRound } from '../support/rounds.ts'
import { crypto } from '../support/service.ts'

/** Rounds of a federation that asks for fresh results. */

const suite = useRounds()

test('of two hundred devices one is quarantined, one is stale, one overdue and one attests too little; all others are served', async () => {
  const bucket = suite.epoch()
  const epochKeys = await suite.service.getEpochKeys(bucket, bucket + 2)
  const federation = await makeFederation(suite.service, suite.coordinator, [], 'production')
  const round = await openRound(suite.service, suite.coordinator, federation)
  const of = { organizationId: await suite.organizationId(), id: federation.id }
  const members = await seedMembers(suite.service.database.sql, crypto, of, { count: 200, bucket, epochKeys })
  const everybody = [suite.coordinator, ...members]
  await suite.sql(
    `update attestation_result r set tier = 'affirming', appraised_at = $3, session_id = s from unnest($1::uuid[], $2::uuid[]) as m (d, s)
      where r.principal_id = m.d`,
    [
      everybody.map(({ deviceId }) => deviceId),
      everybody.map(({ sessionId }) => sessionId),
      new Date(suite.service.time.now),
    ],
  )
  const [quarantined, stale, overdue, warned] = members.map(({ deviceId }) => deviceId)
  await suite.sql(`update principal set status = 'QUARANTINED', active_session_id = null where id = $1`, [quarantined])
  await suite.sql('update attestation_result set appraised_at = $2 where principal_id = $1', [
    stale,
    new Date(suite.service.time.now - 600_001),
  ])
  await suite.sql('update principal set attestations_missed = 2 where id = $1', [overdue])
  await suite.sql(`update attestation_result set tier = 'warning' where principal_id = $1`, [warned])

  const answer = await askKeys(suite.service, suite.coordinator, round)
  const { keys, refused } = openAnswer(suite.coordinator, federation, round, answer)
  expect(refused).toEqual({
    [quarantined as string]: 'quarantined',
    [stale as string]: 'attestation_stale',
    [overdue as string]: 'attestation_overdue',
    [warned as string]: 'tier_refused',
  })
  const served = members.slice(4).map(({ deviceId }) => deviceId)
  expect(keys.map(({ deviceId }) => deviceId).toSorted()).toEqual(served.toSorted())
})

test('a federation of terms of its own admits by these, and its certificate names them', async () => {
  const { service, coordinator, devices } = suite
  const own = await makeFederation(service, coordinator, devices, 'affirming,warning/900')
  const round = await openRound(service, coordinator, own)
  const attestedAt = new Date(service.time.now - 240_000)
  for (const [{ deviceId, sessionId }, tier] of [
    [coordinator, 'affirming'],
    [suite.first(), 'warning'],
    [suite.second(), 'none'],
  ] as const) {
    await suite.sql(
      'update attestation_result set tier = $2, session_id = $3, appraised_at = $4 where principal_id = $1',
      [deviceId, tier, sessionId, attestedAt],
    )
  }
  const { keys, refused } = openAnswer(coordinator, own, round, await askKeys(service, coordinator, round))
  expect(keys.map(({ deviceId }) => deviceId)).toEqual([suite.first().deviceId])
  expect(refused).toEqual({ [suite.second().deviceId]: 'tier_refused' })
  const closed = await suite.asCoordinator('POST', `${round.path}/close`, {})
  expect(closed.body.certificate).toMatchObject({
    policy: 'affirming,warning/900',
    participants: [{ tier: 'warning' }],
  })
})

test('a policy that is none is malformed', async () => {
  for (const policy of ['strict', 'contraindicated', 'warning,affirming', 'affirming/1']) {
    const refused = await suite.asCoordinator('POST', '/v1/federations', { name: 'odd', policy })
    expectRefusal(refused, 400, 'malformed', 'policy')
  }
})
