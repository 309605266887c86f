import { communicationKey, ratchet, roundContext } from '../../protocol/exchange/epochs.ts'
import type { EstablishedExchange } from '../../protocol/exchange/initiate.ts'
import { type RoundKey, roundKeysAnswer } from '../../protocol/rounds/messages.ts'
import { openRoundKeys } from '../../protocol/rounds/sealed-round-keys.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call, enrollTestDevice, establish, type TestDevice } from './api.ts'
import { crypto, type TestService } from './service.ts'

/** A device or a coordinator in an ACTIVE session. */
export type TestParty = TestDevice & EstablishedExchange & { accessToken: string }

export async function enterService(
  service: TestService,
  kind: 'device' | 'coordinator' = 'device',
): Promise<TestParty> {
  const device = await enrollTestDevice(service, { kind })
  return { ...device, ...(await establish(service, device)) }
}

/** A new session of the same party. */
export async function exchangeAgain(service: TestService, party: TestParty): Promise<TestParty> {
  return { ...party, ...(await establish(service, party)) }
}

export interface TestFederation {
  id: string
  /** `/v1/federations/{id}`. */
  path: string
}

/** A federation that this coordinator made, with these members. */
export async function makeFederation(
  service: TestService,
  coordinator: TestParty,
  members: readonly TestDevice[] = [],
  policy = 'development',
): Promise<TestFederation> {
  const token = coordinator.accessToken
  const body = { name: `federation ${newId()}`, policy }
  const made = await call(service, 'POST', '/v1/federations', { token, body })
  if (made.status !== 201) throw new Error(`no federation: ${JSON.stringify(made.body)}`)
  const path = `/v1/federations/${made.body.id}`
  for (const { deviceId } of members) await call(service, 'PUT', `${path}/members/${deviceId}`, { token })
  return { id: made.body.id, path }
}

/** A new round: its number and its path. */
export async function openRound(
  service: TestService,
  coordinator: TestParty,
  federation: TestFederation,
  wish: { round?: number; minParticipants?: number } = {},
): Promise<{ round: number; path: string }> {
  const url = `${federation.path}/rounds`
  const { status, body } = await call(service, 'POST', url, { token: coordinator.accessToken, body: wish })
  if (status !== 201) throw new Error(`no round: ${JSON.stringify(body)}`)
  return { round: body.round, path: `${url}/${body.round}` }
}

export function askKeys(
  service: TestService,
  coordinator: TestParty,
  round: { path: string },
  deviceIds?: readonly string[],
): Promise<Answer> {
  return call(service, 'POST', `${round.path}/keys`, { token: coordinator.accessToken, body: { deviceIds } })
}

/** What the coordinator makes of an answer, with its own chain. */
export function openAnswer(
  coordinator: TestParty,
  federation: TestFederation,
  { round }: { round: number },
  { body }: Answer,
): { keys: RoundKey[]; refused: Record<string, string> } {
  const answer = roundKeysAnswer.parse(body)
  const deriveSealKey = (context: Uint8Array) => deriveKey(coordinator, answer.epoch, 'seal', context)
  const keys = openRoundKeys(crypto, { federationId: federation.id, round }, deriveSealKey, answer.sealed)
  return { keys, refused: Object.fromEntries(answer.refused.map(({ deviceId, code }) => [deviceId, code])) }
}

/** What the device derives for a round by itself. */
export function ownRoundKey(
  device: TestParty,
  federation: TestFederation,
  { round }: { round: number },
  epoch: number,
) {
  return deriveKey(device, epoch, 'round', roundContext(federation.id, round))
}

/** 64 bytes. */
export function deriveKey(party: TestParty, epoch: number, purpose: 'round' | 'seal', context: Uint8Array): Uint8Array {
  let chain = party.chain
  for (let at = party.epoch; at < epoch; at++) chain = ratchet(crypto, chain, at)
  return communicationKey(crypto, chain, { sessionId: party.sessionId, epoch, purpose, context })
}
