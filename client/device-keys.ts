import { z } from 'zod'
import { bucketAt, GRACE_MS, SKEW_MS } from '../protocol/exchange/bucket.ts'
import { communicationKey, type KeyPurpose, keyPurposes, ratchet } from '../protocol/exchange/epochs.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceSession, type DeviceState, updateDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'
import { parseInput } from './parse-input.ts'

export interface DeviceKey {
  sessionId: string
  /** The peer derives the same key for this epoch. */
  epoch: number
  /** 64 bytes, owned by the caller; an AES-256 key is the first 32. */
  key: Uint8Array<ArrayBuffer>
}

export interface KeyNames {
  purpose: KeyPurpose
  /** Bytes that the purpose defines: none for `encryption` and `signing`, some for every other (docs/protocol.md §5). */
  context?: Uint8Array | undefined
  /** Default: the current epoch. The one before is there until its grace is over, the next one from the skew before it. */
  epoch?: number | undefined
}

const withoutContext: readonly KeyPurpose[] = ['encryption', 'signing']

const keyNames = z
  .object({
    purpose: z.enum(keyPurposes),
    context: z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'Not bytes.').optional(),
    epoch: z.int().min(0).optional(),
  })
  .refine(({ purpose, context }) => withoutContext.includes(purpose) === ((context?.length ?? 0) === 0), {
    path: ['context'],
    message: 'Keys for encryption and signing have none, keys of every other purpose need one.',
  })

/**
 * A communication key of the session. Chains whose epoch and grace are over are erased from the store on the way. Throws
 * `input_invalid`, `no_session`, `epoch_gone` for an epoch whose chain is erased or may not be used yet.
 */
export async function deriveDeviceKey(
  parts: Pick<DeviceParts, 'crypto' | 'store' | 'now'>,
  names: KeyNames,
): Promise<DeviceKey> {
  const { purpose, context = new Uint8Array(0), epoch: wanted } = parseInput(keyNames, names)
  return withChain(parts, wanted, (chain, { sessionId, epoch }) => {
    return { sessionId, epoch, key: communicationKey(parts.crypto, chain, { sessionId, epoch, purpose, context }) }
  })
}

/**
 * Gives `use` the chain key of the epoch, 64 bytes, and wipes it afterwards. `isTold`: the epoch is what the server says, which
 * may be ahead of this device's clock, though not of the end of the session.
 */
export async function withChain<T>(
  parts: Pick<DeviceParts, 'crypto' | 'store' | 'now'>,
  wantedEpoch: number | undefined,
  use: (chain: Uint8Array, names: { sessionId: string; epoch: number }) => T,
  { isTold = false }: { isTold?: boolean } = {},
): Promise<T> {
  const { crypto } = parts
  const { session } = await eraseOldChains(parts)
  if (session === undefined) throw new QflareError('no_session', 'This device has no session that is alive.')
  const now = timeOf(session, parts.now())
  const epoch = wantedEpoch ?? currentEpoch(session, now)
  const latest = Math.max(session.epoch, bucketAt(isTold ? session.expiresAt : now + SKEW_MS))
  if (epoch < session.epoch || epoch > latest) {
    session.chain.fill(0)
    throw new QflareError('epoch_gone', `There is no chain key of epoch ${epoch} now.`)
  }
  const chain = ratchetTo(crypto, session.chain, session.epoch, epoch)
  try {
    return use(chain, { sessionId: session.sessionId, epoch })
  } finally {
    chain.fill(0)
  }
}

/** Rewrites the stored state without the chains whose epoch and grace are over, and without a session that is over. */
export async function eraseOldChains(parts: Pick<DeviceParts, 'crypto' | 'store' | 'now'>): Promise<DeviceState> {
  return updateDeviceState(parts.store, (state) => {
    const { session, ...rest } = state
    if (session === undefined) return state
    const now = timeOf(session, parts.now())
    if (now >= session.expiresAt) return rest
    const oldest = Math.max(session.epoch, bucketAt(now - GRACE_MS))
    if (oldest === session.epoch) return state
    return {
      ...state,
      session: { ...session, epoch: oldest, chain: ratchetTo(parts.crypto, session.chain, session.epoch, oldest) },
    }
  })
}

/** The session's time: the device's own, corrected as its exchange was. Milliseconds since the Unix epoch. */
export function timeOf(session: DeviceSession, deviceNow: number): number {
  return deviceNow + session.clockOffsetMs
}

/** The epoch that both ends use now: never below the session's first, nor below what is erased. */
export function currentEpoch(session: DeviceSession, now: number): number {
  return Math.max(session.epoch, bucketAt(now))
}

/** Wipes `chain` unless it is the result. */
function ratchetTo(crypto: Primitives, chain: Uint8Array, from: number, to: number): Uint8Array {
  let current = chain
  for (let epoch = from; epoch < to; epoch++) {
    const next = ratchet(crypto, current, epoch)
    current.fill(0)
    current = next
  }
  return current
}
