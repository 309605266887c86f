import { attest, untilAttestationMs } from './attest.ts'
import type { DeviceParts } from './device-parts.ts'
import { getDeviceState } from './device-state.ts'
import { readDeviceStatus } from './device-status.ts'
import { QflareError } from './errors.ts'
import type { KeepFreshOptions } from './keep-fresh.ts'
import { isPassing, pauseAfter } from './retry-pause.ts'

/** Where nothing has to be attested, for as far as is known. */
const NOTHING_DUE_MS = 2 ** 31 - 1
/** However early a server wants the next one. */
const SHORTEST_PAUSE_MS = 10_000
/** What a server says for which this session has ended. */
const endedCodes = ['unauthenticated', 'session_state', 'no_session']

export interface AttestationKeeper {
  /** `isNewSession`: it is looked after at once, whatever failed before. Undefined: aborted. */
  attestWhenDue(isNewSession: boolean): Promise<{ nextLookMs: number; isSessionOver: boolean } | undefined>
}

/** Attests when it is time to, and not more often than it may after what failed. */
export function createAttestationKeeper(
  parts: DeviceParts,
  { signal, onAttestation, onError }: Pick<KeepFreshOptions, 'signal' | 'onAttestation' | 'onError'>,
): AttestationKeeper {
  let failures = 0
  /** Of the monotonic clock. */
  let notBefore = Number.NEGATIVE_INFINITY
  return {
    async attestWhenDue(isNewSession) {
      if (isNewSession) notBefore = Number.NEGATIVE_INFINITY
      const waitMs = notBefore - parts.monotonicNow()
      if (waitMs > 0) return { nextLookMs: waitMs, isSessionOver: false }
      try {
        const dueInMs = await untilDueMs(parts)
        if (dueInMs > 0) return { nextLookMs: dueInMs, isSessionOver: false }
        requireGoodStanding(await attest(parts))
      } catch (error) {
        if (signal.aborted) return undefined
        if (!isPassing(error)) throw error
        const retryInMs = pauseAfter(error, ++failures)
        notBefore = parts.monotonicNow() + retryInMs
        await onError?.(error, retryInMs)
        const isSessionOver = error instanceof QflareError && [...endedCodes, 'quarantined'].includes(error.code)
        return { nextLookMs: retryInMs, isSessionOver }
      }
      failures = 0
      notBefore = parts.monotonicNow() + SHORTEST_PAUSE_MS
      await onAttestation?.(await readDeviceStatus(parts))
      return { nextLookMs: Math.max(SHORTEST_PAUSE_MS, await untilDueMs(parts)), isSessionOver: false }
    },
  }
}

async function untilDueMs(parts: DeviceParts): Promise<number> {
  const { session, attestation } = await getDeviceState(parts.store)
  if (session === undefined) return NOTHING_DUE_MS
  return untilAttestationMs({ session, attestation }, parts.attesters.length > 0, parts.now()) ?? NOTHING_DUE_MS
}

/** Throws `quarantined`. */
function requireGoodStanding({ status, attestation }: Awaited<ReturnType<typeof attest>>): void {
  if (status === 'ACTIVE') return
  throw new QflareError(
    'quarantined',
    `The server found this device ${attestation.tier} by policy ${attestation.policyId}, and it is ${status}: an operator has to clear it.`,
  )
}
