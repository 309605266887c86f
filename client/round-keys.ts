import { z } from 'zod'
import { ProtocolError } from '../protocol/errors.ts'
import { communicationKey } from '../protocol/exchange/epochs.ts'
import {
  MAX_ROUND_DEVICES,
  type RoundKey,
  type RoundKeysAnswer,
  type RoundRefusal,
  roundKeysAnswer,
} from '../protocol/rounds/messages.ts'
import { openRoundKeys } from '../protocol/rounds/sealed-round-keys.ts'
import { uuid } from '../protocol/wire.ts'
import { withChain } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { QflareError } from './errors.ts'
import { parseInput } from './parse-input.ts'
import { getAccessToken } from './renew-token.ts'
import { roundNames } from './round-context.ts'
import { roundPath } from './round-path.ts'

export type { RoundKey, RoundRefusal }

export interface RoundKeys {
  /** The coordinator's own, which the answer was sealed in; each key names its own. */
  epoch: number
  /** `key`: 64 bytes, owned by the caller; the device of this id derives the same one, of this session and epoch. */
  keys: RoundKey[]
  /** Devices that get no key, each with why; the others go on. */
  refused: { deviceId: string; code: RoundRefusal }[]
}

/** Of 10,000 keys, and a refusal of as many. */
const MAX_KEYS_BYTES = 8 << 20
const wantedDevices = z.object({ deviceIds: z.array(uuid).min(1).max(MAX_ROUND_DEVICES).optional() })

/**
 * The keys of a round for its coordinator (docs/protocol.md §5), opened with the chain of its own session. `deviceIds`: of whom;
 * every member without it. Throws `input_invalid`, `no_session`, what the server refuses with, and `ciphertext_invalid` or
 * `round_invalid` when the answer is not for this coordinator, or not of the devices that were asked for.
 */
export async function fetchRoundKeys(
  parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>,
  names: { federationId: string; round: number; deviceIds?: readonly string[] | undefined },
): Promise<RoundKeys> {
  const { federationId, round } = parseInput(roundNames, names)
  const { deviceIds } = parseInput(
    wantedDevices,
    names.deviceIds === undefined ? {} : { deviceIds: [...names.deviceIds] },
  )
  const ask = async () => {
    const options = { bearer: await getAccessToken(parts), repeatable: true, maxAnswerBytes: MAX_KEYS_BYTES }
    const body = deviceIds === undefined ? {} : { deviceIds }
    return parts.http.post(`${roundPath(federationId, round)}/keys`, body, roundKeysAnswer, options)
  }
  const open = (answer: RoundKeysAnswer) => openAnswer(parts, { federationId, round }, answer)
  // Another process of this coordinator may have exchanged meanwhile, or the epoch be over: then once more, with what holds now.
  const opened = (await open(await ask())) ?? (await open(await ask()))
  if (opened === undefined) {
    throw new ProtocolError('ciphertext_invalid', 'The round keys are not sealed for the session of this coordinator.')
  }
  try {
    requireAsked(opened, deviceIds)
    return opened
  } catch (error) {
    for (const { key } of opened.keys) key.fill(0)
    throw error
  }
}

/** Undefined where the session or epoch that sealed them is not the one that this coordinator has now. */
async function openAnswer(
  parts: Pick<DeviceParts, 'crypto' | 'store' | 'now'>,
  names: { federationId: string; round: number },
  { epoch, sealed, refused }: RoundKeysAnswer,
): Promise<RoundKeys | undefined> {
  const { crypto } = parts
  try {
    const openWith = (chain: Uint8Array, { sessionId }: { sessionId: string }) => {
      if (sessionId !== sealed.sessionId) return undefined
      const deriveSealKey = (context: Uint8Array) =>
        communicationKey(crypto, chain, { sessionId, epoch, purpose: 'seal', context })
      return { epoch, keys: openRoundKeys(crypto, names, deriveSealKey, sealed), refused }
    }
    return await withChain(parts, epoch, openWith, { isTold: true })
  } catch (error) {
    if (error instanceof QflareError && error.code === 'epoch_gone') return undefined
    throw error
  }
}

/** Each device once, with a key or a refusal, and nobody else; no two with one session. Throws `round_invalid`. */
function requireAsked({ keys, refused }: RoundKeys, asked: readonly string[] | undefined): void {
  const answered = new Set([...keys, ...refused].map(({ deviceId }) => deviceId))
  if (
    answered.size !== keys.length + refused.length ||
    new Set(keys.map((key) => key.sessionId)).size !== keys.length
  ) {
    throw new ProtocolError('round_invalid', 'The round keys name a device or a session twice.')
  }
  if (asked === undefined) return
  const wanted = new Set(asked)
  const stranger = [...answered].find((deviceId) => !wanted.has(deviceId))
  if (stranger !== undefined) throw new ProtocolError('round_invalid', `Nobody asked for a key of ${stranger}.`)
  const missing = asked.find((deviceId) => !answered.has(deviceId))
  if (missing !== undefined) {
    throw new ProtocolError('round_invalid', `The round keys say nothing of ${missing}, which was asked for.`)
  }
}
