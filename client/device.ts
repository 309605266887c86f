import type { KeyPurpose } from '../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type Suite, suiteNames } from '../protocol/suites.ts'
import { type DeviceKey, deriveDeviceKey, eraseOldChains, type KeyNames, timeOf } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceStore, getDeviceState } from './device-state.ts'
import { type DeviceStatus, readDeviceStatus } from './device-status.ts'
import { exchangeKeys } from './exchange-keys.ts'
import { followTrust } from './follow-trust.ts'
import { createHttpClient, type HttpOptions } from './http.ts'
import { getAccessToken, renewToken } from './renew-token.ts'

export interface DeviceOptions extends Omit<HttpOptions, 'url'> {
  store: DeviceStore
  /** Default: where the device enrolled. The pinned trust holds wherever the server moved. */
  url?: string | undefined
  crypto?: Primitives | undefined
  now?: (() => number) | undefined
  /** Default: every suite that this version knows. */
  allowedSuites?: readonly Suite[] | undefined
}

/** An enrolled device or coordinator. Everything it knows is in its store, so that several processes may use one device. */
export class QflareDevice {
  readonly #parts: DeviceParts

  constructor(parts: DeviceParts) {
    this.#parts = parts
  }

  /** A new session, which replaces the one before. */
  async exchange(): Promise<DeviceStatus> {
    await exchangeKeys(this.#parts)
    return this.status()
  }

  /** A new session when there is none or half of its life is over. To be called often, by a timer. */
  async exchangeWhenDue(): Promise<DeviceStatus> {
    const { session } = await eraseOldChains(this.#parts)
    const due = session === undefined || timeOf(session, this.#parts.now()) >= session.nextExchangeAt
    return due ? this.exchange() : this.status()
  }

  /** A communication key of the session, by default of the current epoch. */
  key(purpose: KeyPurpose, names: Omit<KeyNames, 'purpose'> = {}): Promise<DeviceKey> {
    return deriveDeviceKey(this.#parts, { ...names, purpose })
  }

  /** For `Authorization: Bearer`; renewed when it is about to end. */
  accessToken(): Promise<string> {
    return getAccessToken(this.#parts)
  }

  renewToken(): Promise<string> {
    return renewToken(this.#parts)
  }

  /** Every exchange does this; alone it is for devices that rest for months. */
  async followTrust(): Promise<DeviceStatus> {
    await followTrust(this.#parts)
    return this.status()
  }

  status(): Promise<DeviceStatus> {
    return readDeviceStatus(this.#parts)
  }
}

/** The device of a store. Throws `not_enrolled`, `state_unusable`, `insecure_url`. */
export async function openDevice(options: DeviceOptions): Promise<QflareDevice> {
  const { store, crypto, now = Date.now, allowedSuites = suiteNames } = options
  const { serverUrl } = await getDeviceState(store)
  const http = createHttpClient({ ...options, url: options.url ?? serverUrl })
  return new QflareDevice({ http, store, now, allowedSuites, crypto: crypto ?? (await choosePrimitives()) })
}
