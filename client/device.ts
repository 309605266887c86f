import type { AttestationAnswer } from '../protocol/attestation/messages.ts'
import type { KeyPurpose } from '../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { RoundCertificate, RoundCertificateFile } from '../protocol/rounds/round-certificate.ts'
import { type SignatureAlgorithm, type Suite, suiteNames } from '../protocol/suites.ts'
import { attest } from './attest.ts'
import type { Attester } from './attester.ts'
import { type ClosingOptions, closeRound } from './close-round.ts'
import { type DeviceKey, deriveDeviceKey, eraseOldChains, type KeyNames } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceStore, getDeviceState } from './device-state.ts'
import { type DeviceStatus, readDeviceStatus } from './device-status.ts'
import { exchangeKeys } from './exchange-keys.ts'
import type { QflareFederations } from './federations.ts'
import type { FollowRevocationsOptions } from './follow-revocations.ts'
import { followTrust } from './follow-trust.ts'
import { createHttpClient, type HttpOptions } from './http.ts'
import { type KeepFreshOptions, keepFresh, untilExchangeMs } from './keep-fresh.ts'
import { getAccessToken, renewToken } from './renew-token.ts'
import { rotateIdentity } from './rotate-identity.ts'
import { federationsOf, fetchRoundCertificate } from './round-certificates.ts'
import { deriveRoundKey } from './round-key.ts'
import { fetchRoundKeys, type RoundKeys } from './round-keys.ts'
import { wait as waitForTimer } from './wait.ts'

export interface DeviceOptions extends Omit<HttpOptions, 'url'> {
  /** Where `enrollDevice` left the identity. */
  store: DeviceStore
  /** Default: where the device enrolled. The pinned trust holds wherever the server moved. */
  url?: string | undefined
  /** Default: node:crypto where it has the algorithms, otherwise JavaScript. */
  crypto?: Primitives | undefined
  /** The device's clock, milliseconds since the Unix epoch. Default: `Date.now`. */
  now?: (() => number) | undefined
  /** Milliseconds since any moment, of a clock that nobody sets. Default: `performance.now`. */
  monotonicNow?: (() => number) | undefined
  /** What evidence comes from where the policy of the device wants some. Default: none. */
  attesters?: readonly Attester[] | undefined
  /** Default: every suite that this version knows. */
  allowedSuites?: readonly Suite[] | undefined
}

/** Of every call. */
export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. What was stored until then stays whole. */
  signal?: AbortSignal | undefined
}

export interface RotationOptions extends CallOptions {
  /** Of the new key. Default: that of the key in use, or where the policy does not take it any more, its first. */
  alg?: SignatureAlgorithm | undefined
}

/**
 * An enrolled device or coordinator, of `enrollDevice` or `openDevice`. Everything it knows is in its store, so that several
 * processes may use one device. Its methods throw `QflareError`, or the `ProtocolError` of a cryptographic check that failed.
 */
export class QflareDevice {
  readonly #parts: DeviceParts

  constructor(parts: DeviceParts) {
    this.#parts = parts
  }

  /** A new session, which replaces the one before. */
  async exchange({ signal }: CallOptions = {}): Promise<DeviceStatus> {
    const parts = this.#partsOf(signal)
    await exchangeKeys(parts)
    return readDeviceStatus(parts)
  }

  /** A new session when there is none or half of its life is over. To be called often, by a timer; or see `keepFresh`. */
  async exchangeWhenDue({ signal }: CallOptions = {}): Promise<DeviceStatus> {
    const parts = this.#partsOf(signal)
    const { session } = await eraseOldChains(parts)
    if (untilExchangeMs(session, parts.now()) === 0) await exchangeKeys(parts)
    return readDeviceStatus(parts)
  }

  /**
   * Keeps a session alive until `signal` is aborted, and resolves then: exchanges at once where there is no session, at half
   * of each one's life with a jitter of a tenth, and when the clock jumps; erases chains on time. An absent server, sleep and
   * refusals only delay it, and `onError` hears of them. Rejects with `not_enrolled`, or with what a callback throws.
   */
  keepFresh(options: KeepFreshOptions): Promise<void> {
    return keepFresh(
      { ...this.#parts, signal: options.signal, http: this.#parts.http.withSignal(options.signal) },
      options,
    )
  }

  /**
   * A new identity key in the place of the one in use (docs/protocol.md §8), and a new session. The device stays who it is; its
   * sessions of before end. One that was begun before, and cut off at any point, is ended instead, with the key that it made.
   * `policy_refused`, `key_invalid`, `rotation_refused`.
   */
  async rotateIdentity({ alg, signal }: RotationOptions = {}): Promise<DeviceStatus> {
    const parts = this.#partsOf(signal)
    await rotateIdentity(parts, alg)
    return readDeviceStatus(parts)
  }

  /**
   * Proves again in what state the device is, for the session that it has; `keepFresh` does so by itself. What the server found: a
   * device that is not ACTIVE afterwards is refused until an operator clears it. `no_session`, `policy_refused`.
   */
  async attest({ signal }: CallOptions = {}): Promise<AttestationAnswer> {
    return attest(this.#partsOf(signal))
  }

  /** A communication key of the session, by default of the current epoch. `input_invalid`, `no_session`, `epoch_gone`. Needs no network. */
  async key(purpose: KeyPurpose, names: Omit<KeyNames, 'purpose'> & CallOptions = {}): Promise<DeviceKey> {
    const { signal, ...rest } = names
    return deriveDeviceKey(this.#partsOf(signal), { ...rest, purpose })
  }

  /**
   * This device's key of a round of a federation that it is a member of, once the coordinator has asked for it: the coordinator's
   * is the same. `epoch_gone` when the chain is gone, which the coordinator then hears and can ask again. To be called every minute
   * or two for as long as the round lasts: a newer key replaces the one before.
   */
  async roundKey(federationId: string, round: number, { signal }: CallOptions = {}): Promise<DeviceKey> {
    return deriveRoundKey(this.#partsOf(signal), { federationId, round })
  }

  /** As a coordinator: the federations that it is assigned to, with its own access token. `no_session`. */
  federations({ signal }: CallOptions = {}): QflareFederations {
    return federationsOf(this.#partsOf(signal))
  }

  /**
   * As a coordinator: which members of its federations may not take part, until `signal` is aborted; it resolves then. All that are
   * revoked, suspended or quarantined, then each change within a second or two, over outages and new sessions.
   */
  followRevocations(options: FollowRevocationsOptions): Promise<void> {
    return this.federations().followRevocations(options)
  }

  /** As a coordinator: a new round; its number, which is the next one unless it is given. */
  async openRound(
    federationId: string,
    options: { round?: number | undefined; minParticipants?: number | undefined } & CallOptions = {},
  ): Promise<number> {
    const { signal, ...request } = options
    return this.federations({ signal }).openRound(federationId, request)
  }

  /**
   * As a coordinator: a key for each member of the federation, or for those of `deviceIds`, and why others get none. Again during
   * the round for who came late or lost its epoch. `ciphertext_invalid` and `round_invalid` are alarms.
   */
  async roundKeys(
    federationId: string,
    round: number,
    options: { deviceIds?: readonly string[] | undefined } & CallOptions = {},
  ): Promise<RoundKeys> {
    const { signal, deviceIds } = options
    return fetchRoundKeys(this.#partsOf(signal), { federationId, round, deviceIds })
  }

  /** As a coordinator: ends a round, for good. The certificate, its signature verified. */
  async closeRound(
    federationId: string,
    round: number,
    options: ClosingOptions & CallOptions = {},
  ): Promise<RoundCertificate> {
    const { signal, ...closing } = options
    return closeRound(this.#partsOf(signal), { federationId, round, ...closing })
  }

  /**
   * As a coordinator: what anyone can check offline, verified under this device's own root of trust. Without `requireProof` it may
   * lack the proof of the log, which follows within a second of the closing.
   */
  async roundCertificate(
    federationId: string,
    round: number,
    options: { requireProof?: boolean | undefined } & CallOptions = {},
  ): Promise<RoundCertificateFile> {
    const { signal, requireProof } = options
    return fetchRoundCertificate(this.#partsOf(signal), { federationId, round, requireProof })
  }

  /** For `Authorization: Bearer`; renewed when it is about to end. `no_session`. */
  async accessToken({ signal }: CallOptions = {}): Promise<string> {
    return getAccessToken(this.#partsOf(signal))
  }

  /** Another access token; older ones live on until they expire. `no_session`. */
  async renewToken({ signal }: CallOptions = {}): Promise<string> {
    return renewToken(this.#partsOf(signal))
  }

  /** Takes the server's later keys, each signed by the one before. Every exchange does this; alone it is for devices that rest for months. */
  async followTrust({ signal }: CallOptions = {}): Promise<DeviceStatus> {
    const parts = this.#partsOf(signal)
    await followTrust(parts)
    return readDeviceStatus(parts)
  }

  /** What may be shown of the device: no secret. Needs no network. */
  async status({ signal }: CallOptions = {}): Promise<DeviceStatus> {
    return readDeviceStatus(this.#partsOf(signal))
  }

  /** Throws the signal's reason. */
  #partsOf(signal: AbortSignal | undefined): DeviceParts {
    if (signal === undefined) return this.#parts
    signal.throwIfAborted()
    return { ...this.#parts, signal, http: this.#parts.http.withSignal(signal) }
  }
}

/** The device of a store. Throws `not_enrolled`, `state_unusable`, `input_invalid`, `insecure_url`. */
export async function openDevice(options: DeviceOptions): Promise<QflareDevice> {
  const { store, now = Date.now, monotonicNow = () => performance.now(), wait = waitForTimer } = options
  const { serverUrl } = await getDeviceState(store)
  const http = createHttpClient({ ...options, url: options.url ?? serverUrl })
  const crypto = options.crypto ?? (await choosePrimitives())
  const { allowedSuites = suiteNames, attesters = [] } = options
  return new QflareDevice({ http, store, crypto, now, monotonicNow, wait, attesters, allowedSuites, signal: undefined })
}
