import type { ProtocolError } from '../protocol/errors.ts'
import { SKEW_MS } from '../protocol/exchange/bucket.ts'
import { eraseOldChains, timeOf } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import type { DeviceSession, DeviceState } from './device-state.ts'
import { type DeviceStatus, readDeviceStatus } from './device-status.ts'
import type { QflareError } from './errors.ts'
import { exchangeKeys } from './exchange-keys.ts'
import { createAttestationKeeper } from './keep-attested.ts'
import { isPassing, pauseAfter } from './retry-pause.ts'
import { rotateIdentity } from './rotate-identity.ts'

/** Timers stand still while a machine sleeps: a look at the clock in between notices what passed. */
const LOOK_MS = 30_000

export interface KeepFreshOptions {
  /** Ends the loop. */
  signal: AbortSignal
  /**
   * Replaces the identity key at the first exchange that is due when the key is this old, in milliseconds; a key whose age the state
   * does not say counts as old. Default: never. A rotation makes every other copy of the state worthless (an image, a backup, a
   * second machine), which is for who runs the fleet to know of, not for a library to begin with by itself.
   */
  rotateIdentityAfterMs?: number | undefined
  /** After every new session. What it throws ends the loop. */
  onExchange?: ((status: DeviceStatus) => void | Promise<void>) | undefined
  /** After every attestation that left the device what it was. What it throws ends the loop. */
  onAttestation?: ((status: DeviceStatus) => void | Promise<void>) | undefined
  /**
   * After every attempt that failed, and with `quarantined` after an attestation that the server found wrong; the next follows
   * `retryInMs` later. What it throws ends the loop.
   */
  onError?: ((error: QflareError | ProtocolError, retryInMs: number) => void | Promise<void>) | undefined
}

type Outcome = { exchanged: DeviceStatus } | { failed: QflareError | ProtocolError } | { nextLookMs: number }

/**
 * Keeps a session alive until `signal` is aborted, and resolves then. It exchanges at once where there is no session, at half
 * of each session's life, and when the device's clock jumps; it attests in each session as the server asks; it erases chains on
 * time. An absent server, sleep and refusals only delay it, and what becomes of attestations delays no exchange. Rejects where
 * trying again cannot help: `not_enrolled`, an error of a callback, a defect.
 */
export async function keepFresh(parts: DeviceParts, options: KeepFreshOptions): Promise<void> {
  const { signal, onExchange, onError } = options
  const attestation = createAttestationKeeper(parts, options)
  let clock = clockAgainstTimers(parts)
  let failures = 0
  let isSessionOver = false
  while (!signal.aborted) {
    const hasJumped = Math.abs(clockAgainstTimers(parts) - clock) > SKEW_MS
    const outcome = await refresh(parts, hasJumped || isSessionOver, options)
    if (outcome === undefined) return
    let pauseMs = LOOK_MS
    if ('failed' in outcome) {
      pauseMs = pauseAfter(outcome.failed, ++failures)
      await onError?.(outcome.failed, pauseMs)
    } else {
      failures = 0
      clock = clockAgainstTimers(parts)
      if ('exchanged' in outcome) await onExchange?.(outcome.exchanged)
      else pauseMs = outcome.nextLookMs
      const attested = await attestation.attestWhenDue('exchanged' in outcome)
      if (attested === undefined) return
      isSessionOver = attested.isSessionOver
      pauseMs = isSessionOver ? attested.nextLookMs : Math.min(pauseMs, attested.nextLookMs)
    }
    await pause(parts, pauseMs, signal)
  }
}

/** 0: now, because there is no session that is alive or half of its life is over. `deviceNow` is the device's own clock. */
export function untilExchangeMs(session: DeviceSession | undefined, deviceNow: number): number {
  return session === undefined ? 0 : Math.max(0, session.nextExchangeAt - timeOf(session, deviceNow))
}

/** Exchanges when it is time to, or has to. Undefined: aborted. */
async function refresh(
  parts: DeviceParts,
  hasTo: boolean,
  { signal, rotateIdentityAfterMs }: KeepFreshOptions,
): Promise<Outcome | undefined> {
  try {
    // A clock that jumped would erase the wrong chains: an exchange first, which sees what time it is.
    const state = hasTo ? undefined : await eraseOldChains(parts)
    const untilDueMs = state === undefined ? 0 : untilExchangeMs(state.session, parts.now())
    // Spread, so that the processes of one device do not find it due at the same time.
    if (untilDueMs > 0) return { nextLookMs: Math.min(untilDueMs, Math.round(LOOK_MS * (0.5 + Math.random() / 2))) }
    if (state !== undefined && isIdentityOld(state, parts.now(), rotateIdentityAfterMs)) {
      await rotateIdentity(parts, undefined)
    } else {
      await exchangeKeys(parts)
    }
    return { exchanged: await readDeviceStatus(parts) }
  } catch (error) {
    if (signal.aborted) return undefined
    if (isPassing(error)) return { failed: error }
    throw error
  }
}

/** By the server's time, as the last session has it. Without a session an exchange comes first, which tells the time. */
function isIdentityOld({ identity, session }: DeviceState, deviceNow: number, afterMs: number | undefined): boolean {
  if (afterMs === undefined || session === undefined) return false
  return timeOf(session, deviceNow) >= (identity.since ?? 0) + afterMs
}

/** Stays as it is for as long as the clock is not set and the machine does not sleep. Milliseconds. */
function clockAgainstTimers(parts: Pick<DeviceParts, 'now' | 'monotonicNow'>): number {
  return parts.now() - parts.monotonicNow()
}

async function pause(parts: Pick<DeviceParts, 'wait'>, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await parts.wait(ms, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
