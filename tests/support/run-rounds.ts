import { expect } from 'vitest'
import { roundKeysAnswer } from '../../protocol/rounds/messages.ts'
import { roundKeysContext } from '../../protocol/rounds/sealed-round-keys.ts'
import { call, enrollTestDevice } from './api.ts'
import type { Secret } from './find-secrets.ts'
import {
  askKeys,
  deriveKey,
  enterService,
  makeFederation,
  openAnswer,
  openRound,
  ownRoundKey,
  type TestParty,
} from './rounds.ts'
import type { TestService } from './service.ts'

/** A whole life of a federation: a round that is closed and one that fails. Gives who was in it; their round keys are secrets. */
export async function runRounds(service: TestService, secrets: Secret[]): Promise<TestParty[]> {
  const coordinator = await enterService(service, 'coordinator')
  const device = await enterService(service)
  const federation = await makeFederation(service, coordinator, [device])
  const ask = async (status: number, method: string, path: string, body?: unknown, { accessToken } = coordinator) => {
    const answer = await call(service, method, path, { token: accessToken, body })
    expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  }

  const round = await openRound(service, coordinator, federation)
  const answer = await askKeys(service, coordinator, round)
  const { epoch, sealed } = roundKeysAnswer.parse(answer.body)
  const context = roundKeysContext(federation.id, round.round, sealed.nonce)
  secrets.push({ what: 'seal key of a round', value: deriveKey(coordinator, epoch, 'seal', context) })
  const { keys } = openAnswer(coordinator, federation, round, answer)
  expect(keys.map(({ key }) => key)).toEqual([ownRoundKey(device, federation, round, device.epoch)])
  for (const { key } of keys) secrets.push({ what: 'round key', value: key })
  await ask(204, 'POST', `${round.path}/membership`, { status: 'epoch_gone' }, device)
  await ask(200, 'POST', `${round.path}/close`, {})

  const failed = await openRound(service, coordinator, federation)
  await ask(200, 'POST', `${failed.path}/close`, {})
  const { deviceId } = await enrollTestDevice(service, { kind: 'coordinator' })
  for (const method of ['PUT', 'DELETE']) await ask(204, method, `${federation.path}/coordinators/${deviceId}`)
  await ask(204, 'DELETE', `${federation.path}/members/${device.deviceId}`)
  return [coordinator, device]
}
