import { z } from 'zod'
import { principalKinds } from '../protocol/enrollment.ts'
import { trustBundle } from '../protocol/trust.ts'
import { bytes, json, kid, signature, signatureAlgorithm, timestamp, uuid } from '../protocol/wire.ts'
import { QflareError } from './errors.ts'
import { backoffMs, wait } from './wait.ts'

const deviceSession = z.strictObject({
  sessionId: uuid,
  expiresAt: timestamp,
  /** The epoch that the session began with: a session of the next bucket uses it before it begins. */
  firstEpoch: z.int().min(0),
  /** The epoch of `chain`: the oldest one whose grace is not over. */
  epoch: z.int().min(0),
  chain: bytes(64),
  /** What a wrong clock is corrected by while this session lives: the server's time less the device's. */
  clockOffsetMs: z.int(),
  /** When a new exchange is due: half of the lifetime, give or take a tenth. */
  nextExchangeAt: timestamp,
  accessToken: z.string().max(512),
  accessTokenExpiresAt: timestamp,
})
export type DeviceSession = z.output<typeof deviceSession>

/** The key of a rotation, kept from before the server hears of it until an exchange under it shows that the server has it. */
const nextIdentity = z.strictObject({
  kid,
  alg: signatureAlgorithm,
  seed: bytes(32),
  /** The completion as it was or will be sent: only the same bytes get the same answer. */
  challengeId: uuid,
  oldSignature: signature,
  newSignature: signature,
})
export type NextIdentity = z.output<typeof nextIdentity>

/** What the server found at the last attestation, and when it wants the next. Times are the server's. */
const deviceAttestation = z.strictObject({
  /** Of the device, as the server has it: what is not ACTIVE has no session. */
  status: z.string(),
  tier: z.string(),
  policyId: z.string(),
  /** The one that it counts for. Undefined: the enrolment. */
  sessionId: uuid.optional(),
  appraisedAt: timestamp,
  expiresAt: timestamp,
  /** Undefined: the policy does not ask for another. */
  nextAttestationAt: timestamp.optional(),
  /** When this device means to attest again: somewhat before that. */
  attestAt: timestamp.optional(),
})

/** Everything that a device keeps; in the stored form binary values are base64url. It holds the private identity key. */
export const deviceState = z.strictObject({
  version: z.literal(1),
  /** Counts the saves. */
  revision: z.int().min(1),
  serverUrl: z.url(),
  deviceId: uuid,
  kind: z.enum(principalKinds),
  name: z.string(),
  spiffeId: z.string(),
  identity: z.strictObject({
    alg: signatureAlgorithm,
    seed: bytes(32),
    /** When the server got it, in the server's time; a state of before QFLARE rotated keys does not say. */
    since: timestamp.optional(),
  }),
  nextIdentity: nextIdentity.optional(),
  trust: trustBundle,
  /** The highest bucket whose `tagS` was verified; certificates below it are refused, and it is never lowered. */
  bucketFloor: z.int().min(0),
  session: deviceSession.optional(),
  /** The newest that the server gave; it opens nothing, and a busy server serves first who has one. */
  pass: z.string().max(256).optional(),
  attestation: deviceAttestation.optional(),
  /** What its evidence came from at the enrolment; `none` is not told. */
  attesters: z
    .array(z.strictObject({ format: z.string().max(64), settings: z.record(z.string(), json) }))
    .max(8)
    .optional(),
})
export type DeviceState = z.output<typeof deviceState>

export interface DeviceStore {
  /** Undefined when nothing was stored yet. The caller owns and may wipe the bytes inside. `state_unusable`. */
  load(): Promise<DeviceState | undefined>
  /**
   * Durable when it returns, and all or nothing. What is stored must have the revision before this one (0: nothing stored);
   * otherwise someone else wrote in between, nothing is stored, and `state_changed` is thrown.
   */
  save(state: DeviceState): Promise<void>
  /** Makes sure that a save can succeed, before a token is spent on an enrolment that could not be kept. `state_unusable`. */
  prepare(): Promise<void>
}

/** Throws `not_enrolled`. */
export async function getDeviceState(store: DeviceStore): Promise<DeviceState> {
  const state = await store.load()
  if (state === undefined) throw new QflareError('not_enrolled', 'This device is not enrolled: there is no state.')
  return state
}

const MAX_TRIES = 10
const BACKOFF = { firstMs: 10, longestMs: 500 }

/**
 * Loads, changes and saves; again from the start when another process saved in between. `change` returns the state that it
 * was given when there is nothing to save.
 */
export async function updateDeviceState(
  store: DeviceStore,
  change: (state: DeviceState) => DeviceState,
): Promise<DeviceState> {
  for (let tries = 1; ; tries++) {
    const state = await getDeviceState(store)
    const changed = change(state)
    if (changed === state) return state
    const next = { ...changed, revision: state.revision + 1 }
    try {
      await store.save(next)
      return next
    } catch (error) {
      if (!(error instanceof QflareError && error.code === 'state_changed') || tries === MAX_TRIES) throw error
      await wait(backoffMs(tries, BACKOFF))
    }
  }
}

export function toStoredForm(state: DeviceState): string {
  return `${JSON.stringify(z.encode(deviceState, state), null, 2)}\n`
}

/** Throws `state_unusable`. */
export function parseStoredForm(text: string): DeviceState {
  try {
    return deviceState.parse(JSON.parse(text))
  } catch (cause) {
    throw new QflareError('state_unusable', 'The state of the device is damaged, or of another version of QFLARE.', {
      cause,
    })
  }
}
