import { describe, expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { useRounds } from '../support/round-suite.ts'
import { exchangeAgain, type TestParty } from '../support/rounds.ts'

const suite = useRounds()

const sayGone = (device: TestParty, named: object = {}) =>
  call(suite.service, 'POST', `${suite.round.path}/membership`, {
    token: device.accessToken,
    body: { status: 'epoch_gone', ...named },
  })

describe('a device that no longer has the chain', () => {
  test('says so once, is not given the same again, and gets the next epoch', async () => {
    await suite.given()
    expect((await sayGone(suite.first())).status).toBe(204)
    expect((await sayGone(suite.first())).status).toBe(204)
    expect(await suite.events('round.epoch_gone')).toMatchObject([
      {
        subject: { deviceId: suite.first().deviceId, sessionId: suite.first().sessionId },
        data: { epoch: suite.epoch() },
      },
    ])
    expect(await suite.show()).toMatchObject({ participants: 2, epochGone: 1 })
    const list = await call(suite.service, 'GET', `${suite.round.path}/participants?status=epoch_gone`, {
      token: suite.coordinator.accessToken,
    })
    expect(list.body.items.map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual([suite.first().deviceId])
    expect((await suite.given()).refused).toEqual({ [suite.first().deviceId]: 'epoch_unavailable' })

    suite.devices[0] = await exchangeAgain(suite.service, suite.first())
    const { keys, refused } = await suite.given([suite.first().deviceId])
    expect(refused).toEqual({})
    await suite.expectOwnKeys(keys, [suite.first()])
    expect(await suite.show()).toMatchObject({ epochGone: 0 })
  })

  test('does not mean what is newer than what it names', async () => {
    await suite.given()
    expect((await sayGone(suite.first(), { epoch: suite.epoch() - 1 })).status).toBe(204)
    expect((await sayGone(suite.first(), { sessionId: newId(), epoch: suite.epoch() })).status).toBe(204)
    expect(await suite.show()).toMatchObject({ epochGone: 0 })
    expect((await sayGone(suite.first(), { sessionId: suite.first().sessionId, epoch: suite.epoch() })).status).toBe(
      204,
    )
    expect(await suite.show()).toMatchObject({ epochGone: 1 })
  })

  test('has no place before it was given a key, nor after it was taken out', async () => {
    expectRefusal(await suite.told(suite.first()), 404, 'not_found')
    expectRefusal(await sayGone(suite.first()), 404, 'not_found')
    await suite.given()
    const path = `${suite.federation.path}/members/${suite.first().deviceId}`
    await call(suite.service, 'DELETE', path, { token: suite.coordinator.accessToken })
    expectRefusal(await suite.told(suite.first()), 404, 'not_found')
    expectRefusal(await sayGone(suite.first()), 404, 'not_found')
  })
})
