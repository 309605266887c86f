import type { Primitives } from '../protocol/primitives.ts'
import type { Suite } from '../protocol/suites.ts'
import type { Attester } from './attester.ts'
import type { DeviceStore } from './device-state.ts'
import type { HttpClient } from './http.ts'
import type { Wait } from './wait.ts'

/** What a device is made of; every function takes the parts that it uses. */
export interface DeviceParts {
  http: HttpClient
  crypto: Primitives
  store: DeviceStore
  /** The device's own clock, milliseconds since the Unix epoch. It may be wrong. */
  now: () => number
  /** Milliseconds since any moment; it never jumps, but may stand still while the machine sleeps. */
  monotonicNow: () => number
  wait: Wait
  /** Of what evidence comes from, besides `none`. */
  attesters: readonly Attester[]
  /** Suites that this device accepts, whatever a server offers. */
  allowedSuites: readonly Suite[]
  /** Of the call under way; `http` is ended by it already. */
  signal: AbortSignal | undefined
}
