import { keyId } from '../protocol/key-id.ts'
import { currentEpoch, timeOf } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceSession, type DeviceState, getDeviceState } from './device-state.ts'

/** What may be shown of a device: no secret. */
export interface DeviceStatus {
  deviceId: string
  kind: DeviceState['kind']
  name: string
  spiffeId: string
  serverUrl: string
  /** `since`: when the server got it, where the state says so. */
  identityKey: { kid: string; alg: string; since: number | undefined }
  trust: { trustDomain: string; sequence: number }
  bucketFloor: number
  /** Undefined: none that is alive. `expiresAt` and `nextExchangeAt` are in the server's time. */
  session:
    | (Pick<DeviceSession, 'sessionId' | 'expiresAt' | 'nextExchangeAt' | 'clockOffsetMs'> & { epoch: number })
    | undefined
  /** What the server last found, in its time; `sessionId` is undefined of the enrolment. Undefined: the state does not say. */
  attestation: Omit<NonNullable<DeviceState['attestation']>, 'attestAt'> | undefined
}

export async function readDeviceStatus(
  parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>,
): Promise<DeviceStatus> {
  const state = await getDeviceState(parts.store)
  const { alg, seed, since } = state.identity
  const { publicKey } = parts.crypto.importSigningKey(alg, seed)
  return {
    deviceId: state.deviceId,
    kind: state.kind,
    name: state.name,
    spiffeId: state.spiffeId,
    serverUrl: parts.http.url,
    identityKey: { kid: keyId(parts.crypto, alg, publicKey), alg, since },
    trust: { trustDomain: state.trust.trustDomain, sequence: state.trust.sequence },
    bucketFloor: state.bucketFloor,
    session: toSessionStatus(state.session, parts.now()),
    attestation: toAttestationStatus(state.attestation),
  }
}

function toSessionStatus(session: DeviceSession | undefined, deviceNow: number): DeviceStatus['session'] {
  if (session === undefined || timeOf(session, deviceNow) >= session.expiresAt) return undefined
  const { sessionId, expiresAt, nextExchangeAt, clockOffsetMs } = session
  const epoch = currentEpoch(session, timeOf(session, deviceNow))
  return { sessionId, epoch, expiresAt, nextExchangeAt, clockOffsetMs }
}

function toAttestationStatus(attestation: DeviceState['attestation']): DeviceStatus['attestation'] {
  if (attestation === undefined) return undefined
  const { attestAt: _own, ...shown } = attestation
  return shown
}
