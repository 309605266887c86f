import { describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call } from '../support/api.ts'
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
import { makeTenant } from '../support/tenants.ts'

const suite = useRounds()

describe('while a call is under way', () => {
  /** Runs `meanwhile` when the call has derived its keys and waits for the round, then lets it go on. */
  async function during(meanwhile: () => Promise<unknown>) {
    await suite.sql('begin')
    await suite.sql('select from round where federation_id = $1 for update', [suite.federation.id])
    const asking = suite.ask()
    try {
      await expect.poll(waiting, { interval: 20, timeout: 10_000 }).toHaveLength(1)
      await meanwhile()
    } finally {
      await suite.sql('commit')
    }
    return asking
  }
  const waiting = async () =>
    (await suite.sql(`select pid from pg_locks where not granted and locktype in ('tuple', 'transactionid')`)).rows

  test('who leaves, is revoked or exchanges anew is given no key of before', async () => {
    suite.devices.push(await enterService(suite.service))
    await suite.join(suite.devices[2] as TestParty)
    const answer = await during(async () => {
      await suite.sql('delete from federation_member where device_id = $1', [suite.first().deviceId])
      suite.devices[1] = await exchangeAgain(suite.service, suite.second())
    })
    const { keys, refused } = openAnswer(suite.coordinator, suite.federation, suite.round, answer)
    expect(keys.map(({ deviceId }) => deviceId)).toEqual([suite.devices[2]?.deviceId])
    expect(refused).toEqual({
      [suite.first().deviceId]: 'epoch_unavailable',
      [suite.second().deviceId]: 'epoch_unavailable',
    })
    expect(await suite.show()).toMatchObject({ participants: 1 })
    expect((await suite.given()).keys).toHaveLength(2)
  })

  test('who has to attest from then on is given no key', async () => {
    const required = 'update principal set attestation_required_since = now() where id = $1'
    const answer = await during(() => suite.sql(required, [suite.first().deviceId]))
    const { keys, refused } = openAnswer(suite.coordinator, suite.federation, suite.round, answer)
    expect(keys.map(({ deviceId }) => deviceId)).toEqual([suite.second().deviceId])
    expect(refused).toEqual({ [suite.first().deviceId]: 'epoch_unavailable' })
    expect((await suite.given()).refused).toEqual({ [suite.first().deviceId]: 'attestation_required' })
  })

  test('a key of a newer epoch that was given out stays what was given last', async () => {
    await suite.given()
    const answer = await during(() =>
      suite.sql('update round_participant set epoch = epoch + 1 where device_id = $1', [suite.first().deviceId]),
    )
    const { keys, refused } = openAnswer(suite.coordinator, suite.federation, suite.round, answer)
    expect(keys.map(({ deviceId }) => deviceId)).toEqual([suite.second().deviceId])
    expect(refused).toEqual({ [suite.first().deviceId]: 'epoch_unavailable' })
    expect((await suite.told(suite.first())).body.epoch).toBe(suite.epoch() + 1)
  })

  test('a coordinator that is taken off the federation gets none', async () => {
    const answer = await during(() =>
      suite.sql('delete from federation_coordinator where federation_id = $1', [suite.federation.id]),
    )
    expectRefusal(answer, 404, 'not_found')
    expect(
      (await suite.sql('select from round_participant where federation_id = $1', [suite.federation.id])).rowCount,
    ).toBe(0)
  })

  test('a database that breaks leaves nothing of it, and asking again gives all', async () => {
    const [{ pid }] = (await suite.sql('select pg_backend_pid() as pid')).rows as [{ pid: number }]
    const answer = await during(async () => {
      const others = (await waiting()).map((row) => row.pid).filter((other) => other !== pid)
      await suite.sql('select pg_terminate_backend(any_pid) from unnest($1::int[]) any_pid', [others])
      await expect.poll(waiting, { interval: 20, timeout: 10_000 }).toHaveLength(0)
    })
    expectRefusal(answer, 503, 'unavailable')
    expect(
      (await suite.sql('select from round_participant where federation_id = $1', [suite.federation.id])).rowCount,
    ).toBe(0)
    expect(await suite.events('round.keys_given')).toEqual([])
    await suite.expectOwnKeys((await suite.given()).keys, suite.devices)
  })

  test('the calls of one organization leave room for those of another', async () => {
    const tenant = await makeTenant(suite.service, newId())
    const coordinator = await enterService(tenant, 'coordinator')
    const federation = await makeFederation(tenant, coordinator, [await enterService(tenant)])
    const round = await openRound(tenant, coordinator, federation)
    await suite.sql('begin')
    await suite.sql('select from round where federation_id = $1 for update', [suite.federation.id])
    const answered: Answer[] = []
    const all = Array.from({ length: 20 }, async () => answered.push(await suite.ask()))
    await expect.poll(() => answered.length, { interval: 20, timeout: 10_000 }).toBeGreaterThan(1)
    for (const answer of answered) expectRefusal(answer, 503, 'overloaded')
    const other = askKeys(tenant, coordinator, round)
    await suite.sql('commit')
    expect((await other).status).toBe(200)
    await Promise.all(all)
    expect(answered.filter(({ status }) => status === 200)).toHaveLength(9)
  })

  test('a round that is closed meanwhile gives no key', async () => {
    await suite.sql('begin')
    await suite.sql('select from round where federation_id = $1 for update', [suite.federation.id])
    const closing = call(suite.service, 'POST', `${suite.round.path}/close`, {
      token: suite.coordinator.accessToken,
      body: {},
    })
    await expect.poll(waiting, { interval: 20, timeout: 10_000 }).toHaveLength(1)
    await suite.sql('commit')
    expect((await closing).status).toBe(200)
    expectRefusal(await suite.ask(), 409, 'round_state')
  })
})
