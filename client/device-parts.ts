import type { Primitives } from '../protocol/primitives.ts'
import type { Suite } from '../protocol/suites.ts'
import type { DeviceStore } from './device-state.ts'
import type { HttpClient } from './http.ts'

/** What a device is made of; every function takes the parts that it uses. */
export interface DeviceParts {
  http: HttpClient
  crypto: Primitives
  store: DeviceStore
  /** The device's own clock, milliseconds since the Unix epoch. It may be wrong. */
  now: () => number
  /** Suites that this device accepts, whatever a server offers. */
  allowedSuites: readonly Suite[]
}
