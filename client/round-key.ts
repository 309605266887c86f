import { communicationKey } from '../protocol/exchange/epochs.ts'
import { type MembershipAnswer, membershipAnswer } from '../protocol/rounds/messages.ts'
import { type DeviceKey, eraseOldChains, withChain } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { QflareError } from './errors.ts'
import { parseInput } from './parse-input.ts'
import { getAccessToken } from './renew-token.ts'
import { roundContext, roundNames } from './round-context.ts'
import { roundPath } from './round-path.ts'

type Parts = Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>

/**
 * This device's key of a round (docs/protocol.md §5): the server says of which session and epoch the coordinator has it, and the
 * device derives it by itself. Throws `input_invalid`, `no_session`, what the server refuses with, and `epoch_gone` when this
 * device has no chain of that epoch any more, which it tells the server, so that the coordinator can ask again.
 */
export async function deriveRoundKey(parts: Parts, names: { federationId: string; round: number }): Promise<DeviceKey> {
  const { federationId, round } = parseInput(roundNames, names)
  const path = `${roundPath(federationId, round)}/membership`
  const bearer = await getAccessToken(parts)
  const membership = await parts.http.get(path, membershipAnswer, { bearer, pastCaches: true })
  const key = await deriveFrom(parts, membership, roundContext(federationId, round))
  if (key !== undefined) return key
  await parts.http.tell(path, { status: 'epoch_gone', ...membership }, { bearer, repeatable: true })
  throw new QflareError(
    'epoch_gone',
    `This device has no chain key of epoch ${membership.epoch} of session ${membership.sessionId} any more, and told the server so: the coordinator can ask for its key again.`,
  )
}

/** Undefined where this device has the session or the epoch no more. Throws `epoch_gone` for an epoch after the session's end. */
async function deriveFrom(
  parts: Parts,
  { sessionId, epoch }: MembershipAnswer,
  context: Uint8Array,
): Promise<DeviceKey | undefined> {
  try {
    const derive = (chain: Uint8Array, own: { sessionId: string; epoch: number }) => {
      if (own.sessionId !== sessionId) return undefined
      return { sessionId, epoch, key: communicationKey(parts.crypto, chain, { ...own, purpose: 'round', context }) }
    }
    return await withChain(parts, epoch, derive, { isTold: true })
  } catch (error) {
    if (!(error instanceof QflareError) || error.code !== 'epoch_gone') throw error
    const { session } = await eraseOldChains(parts)
    const isAfterEnd = session?.sessionId === sessionId && epoch > session.epoch
    session?.chain.fill(0)
    if (isAfterEnd) throw error
    return undefined
  }
}
