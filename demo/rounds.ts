import { setTimeout as sleep } from 'node:timers/promises'
import type { QflareFederations } from '../client/federations.ts'
import type { RoundKeys } from '../client/round-keys.ts'
import type { Primitives } from '../protocol/primitives.ts'
import {
  formatRoundCertificateFile,
  parseRoundCertificateFile,
  type RoundCertificate,
} from '../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../protocol/rounds/verify-round-certificate.ts'
import type { Member } from './fleet.ts'

export interface Federation {
  federationId: string
  coordinator: Member
}

export interface OpenRound extends Federation {
  round: number
  keys: ReadonlyMap<string, Uint8Array>
  refused: RoundKeys['refused']
}

/** The log covers an event a quarter of a second after its change; a busy machine takes longer. */
const PROVEN_WITHIN_MS = 15_000
const AGAIN_MS = 250

/** Made by its coordinator, with its own session. Its policy takes who was found affirming, in this session and lately. */
export async function foundFederation(coordinator: Member): Promise<Federation> {
  const federation = { name: coordinator.name, policy: 'production' } as const
  return { coordinator, federationId: (await coordinator.device.federations().createFederation(federation)).id }
}

/** By an operator: a coordinator asks for as much in a minute as any device may, and a fleet can be larger than that. */
export async function joinFederation(
  federations: QflareFederations,
  { federationId }: Federation,
  { deviceId }: Member,
): Promise<void> {
  await federations.addMember(federationId, deviceId)
}

/** The keys of all members in one call, sealed to the coordinator. */
export async function openRound({ coordinator, federationId }: Federation): Promise<OpenRound> {
  const round = await coordinator.device.openRound(federationId, { minParticipants: 2 })
  const { keys, refused } = await coordinator.device.roundKeys(federationId, round)
  return { coordinator, federationId, round, keys: new Map(keys.map(({ deviceId, key }) => [deviceId, key])), refused }
}

/** In a round that goes on: a key for one that could not have it before, and is well again. */
export async function joinLate(open: OpenRound, { name, deviceId }: Member): Promise<OpenRound> {
  const { coordinator, federationId, round } = open
  const { keys, refused } = await coordinator.device.roundKeys(federationId, round, { deviceIds: [deviceId] })
  const [given] = keys
  if (given === undefined) throw new Error(`${name} gets no key of round ${round}: ${refused[0]?.code}.`)
  return { ...open, keys: new Map([...open.keys, [deviceId, given.key]]) }
}

/** The device derives its key by itself, or the demo has found that it is not the coordinator's. */
export async function deriveSameKey({ federationId, round, keys }: OpenRound, member: Member): Promise<void> {
  const given = keys.get(member.deviceId)
  if (given === undefined) throw new Error(`The coordinator has no key of ${member.name}.`)
  const { key } = await member.device.roundKey(federationId, round)
  if (!Buffer.from(key).equals(given)) throw new Error(`${member.name} and the coordinator have different keys.`)
}

/** Only this one is refused, and with this code. */
export function requireRefused({ refused }: OpenRound, { name, deviceId }: Member, code: string): void {
  if (refused.length === 1 && refused[0]?.deviceId === deviceId && refused[0].code === code) return
  throw new Error(`${name} alone should have been refused (${code}), and ${refused.length} were.`)
}

/** Ends the round, and verifies its certificate as anybody could from a file, under nothing but the pin of a token. */
export async function certifyRound(
  { coordinator, federationId, round, keys }: OpenRound,
  crypto: Primitives,
): Promise<RoundCertificate> {
  const aggregateHash = crypto.hash256(new TextEncoder().encode(`what ${keys.size} devices learned in round ${round}`))
  await coordinator.device.closeRound(federationId, round, { aggregateHash })
  const deadline = performance.now() + PROVEN_WITHIN_MS
  for (;;) {
    const file = await coordinator.device.roundCertificate(federationId, round)
    if (file.proof !== null) {
      const read = parseRoundCertificateFile(formatRoundCertificateFile(file))
      const rootPin = coordinator.token.split('.')[2]
      return verifyRoundCertificate(crypto, read, { rootPin, requireProof: true }).certificate
    }
    if (performance.now() > deadline) throw new Error(`The end of round ${round} is not in the log.`)
    await sleep(AGAIN_MS)
  }
}
