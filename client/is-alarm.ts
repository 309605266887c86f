import { ProtocolError, type ProtocolErrorCode } from '../protocol/errors.ts'
import { QflareError } from './errors.ts'

/** Of the protocol's: a clock that is wrong, and a runtime without the algorithms. Every other one is an alarm. */
const harmless = ['bucket_out_of_window', 'crypto_unavailable'] as const satisfies readonly ProtocolErrorCode[]
/** The server got something else than this device signed; the server's time would lead this device back. */
const others = ['trust_mismatch', 'clock_refused'] as const

type AlarmCode = Exclude<ProtocolErrorCode, (typeof harmless)[number]> | (typeof others)[number]
export type Alarm = (QflareError | ProtocolError) & { readonly code: AlarmCode }

/**
 * Whether an error means that this may not be the server that the token named: that somebody stands between, or plays an old
 * server. Nothing secret was sent after it and nothing of it stored; it is for people to look at, not to be tried around.
 */
export function isAlarm(error: unknown): error is Alarm {
  if (error instanceof ProtocolError) return !(harmless as readonly string[]).includes(error.code)
  return error instanceof QflareError && (others as readonly string[]).includes(error.code)
}
