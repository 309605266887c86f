// Running it twice is harmless: each step is planned and done in one transaction behind a lock, from what is stored then, and whoever
// comes later finds it done.

import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { findNewestTrustBundle } from '../../database/repositories/service-keys.ts'
import {
  activateSigningKey,
  findSealedSeed,
  holdCheckpoints,
  listSigningKeyLives,
  lockKeyRotation,
  retireSigningKey,
  type SigningKeyLife,
} from '../../database/repositories/signing-keys.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type TrustBundle, type TrustKey, trustBundle, verifyPinnedTrustBundle } from '../../protocol/trust.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import { openSigningKey } from '../../runtime/custody/service-keys.ts'
import type { Signer } from '../../runtime/custody/signer.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { RotationTimes } from '../../runtime/rotation-setting.ts'
import { planSigningKeys, type SigningKeyStep } from '../rotation/plan-signing-keys.ts'
import { addTrustBundle, makeSigningKey } from '../signing-keys.ts'

export interface RotateSigningKeysParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  writeEvent: WriteEvent
  rotation: RotationTimes
}

/**
 * Takes every step that is due: publishes successors of keys that reach their age, lets those sign that were published long enough,
 * and takes out of the trust bundle what is no longer needed. Returns the steps. Throws SealError and `trust_invalid` where what is
 * stored is not what this service sealed and signed: nothing is done then.
 */
export async function rotateSigningKeys(parts: RotateSigningKeysParts, now: number): Promise<SigningKeyStep['step'][]> {
  const taken: SigningKeyStep['step'][] = []
  for (;;) {
    const step = await takeStep(parts, now)
    if (step === undefined) return taken
    taken.push(step)
  }
}

/** As the schedule runs it: this process follows at once, the others within seconds. */
export async function rotateOldSigningKeys(
  parts: RotateSigningKeysParts & { refreshKeys: () => Promise<void>; logger: Logger },
  now: number,
): Promise<void> {
  const steps = await rotateSigningKeys(parts, now)
  for (const step of steps) parts.logger.info(`signing keys: ${step}`)
  if (steps.length > 0) await parts.refreshKeys()
}

/** What a step works with, and what becomes of the trust bundle. */
interface Rotation {
  tx: Tx
  root: Signer
  trust: TrustBundle
  now: number
}

function takeStep(parts: RotateSigningKeysParts, now: number): Promise<SigningKeyStep['step'] | undefined> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    await lockKeyRotation(tx)
    const keys = await listSigningKeyLives(tx)
    const newest = await findNewestTrustBundle(tx)
    if (newest === undefined) throw new SealError('There is no trust bundle.')
    const plan = planSigningKeys(keys, newest.keys, parts.rotation, now)
    if (plan === undefined) return undefined
    const root = await openKey(
      parts,
      tx,
      keys.find(({ use, status }) => use === 'root' && status === 'ACTIVE'),
    )
    // The root vouches for what it vouched for before, and for what is made here: never for what only the database says.
    const trust = verifyPinnedTrustBundle(parts.crypto, trustBundle.parse(newest), root.keyId)
    const happened = await take(parts, plan, { tx, root, trust, now })
    await insertEvents(
      tx,
      happened.map((happening) => toEvent(parts.writeEvent, happening, now)),
    )
    return plan.step
  })
}

type KeyHappening = Happening<
  'signing_key.published' | 'signing_key.activated' | 'signing_key.retired' | 'signing_key.withdrawn'
>

function take(parts: RotateSigningKeysParts, plan: SigningKeyStep, rotation: Rotation): Promise<KeyHappening[]> {
  if (plan.step === 'publish') return publish(parts, plan.kinds, rotation)
  if (plan.step === 'activate') return activate(parts, plan.successions, rotation)
  return withdraw(plan.keys, rotation)
}

async function publish(
  parts: RotateSigningKeysParts,
  kinds: (SigningKeyStep & { step: 'publish' })['kinds'],
  rotation: Rotation,
): Promise<KeyHappening[]> {
  const { tx, trust, now } = rotation
  const made: TrustKey[] = []
  for (const kind of kinds) made.push((await makeSigningKey(tx, parts, kind, { isActive: false }, now)).trustKey)
  const trustSequence = await follow(rotation, [...trust.keys, ...made])
  return made.map(({ kid, use, alg }) => ({
    type: 'signing_key.published',
    subject: { kid },
    data: { use, alg, trustSequence },
  }))
}

async function activate(
  parts: RotateSigningKeysParts,
  successions: (SigningKeyStep & { step: 'activate' })['successions'],
  rotation: Rotation,
): Promise<KeyHappening[]> {
  const { tx, trust, now } = rotation
  const ends = new Map<string, number>()
  for (const { successor, retired } of successions) {
    // That its seed opens is seen before the one that signs gives up its own.
    await openKey(parts, tx, successor)
    // The log's key ends with its last checkpoint; what the others signed is used for a while yet.
    if (retired.use === 'audit') ends.set(retired.kid, Math.max(now, await holdCheckpoints(tx)))
    const isRetired = await retireSigningKey(tx, retired.kid, { retiredAt: now, notAfter: ends.get(retired.kid) })
    if (!isRetired || !(await activateSigningKey(tx, successor.kid, now))) {
      throw new Error(`The keys ${retired.kid} and ${successor.kid} changed under the lock.`)
    }
  }
  const keys = trust.keys.map((key) => ({ ...key, notAfter: ends.get(key.kid) ?? key.notAfter }))
  const trustSequence = ends.size > 0 ? await follow(rotation, keys) : trust.sequence
  return successions.flatMap(({ successor, retired }) => {
    const { use, alg } = successor
    const notAfter = ends.get(retired.kid)
    return [
      { type: 'signing_key.activated', subject: { kid: successor.kid }, data: { use, alg, replaces: retired.kid } },
      {
        type: 'signing_key.retired',
        subject: { kid: retired.kid },
        data: { use, alg, trustSequence, ...(notAfter === undefined ? {} : { notAfter }) },
      },
    ]
  })
}

async function withdraw(keys: readonly SigningKeyLife[], rotation: Rotation): Promise<KeyHappening[]> {
  const gone = new Set(keys.map(({ kid }) => kid))
  const trustSequence = await follow(
    rotation,
    rotation.trust.keys.filter(({ kid }) => !gone.has(kid)),
  )
  return keys.map(({ kid, use, alg }) => ({
    type: 'signing_key.withdrawn',
    subject: { kid },
    data: { use, alg, trustSequence },
  }))
}

/** The next trust bundle; its sequence. */
async function follow({ tx, root, trust, now }: Rotation, keys: TrustKey[]): Promise<number> {
  const sequence = trust.sequence + 1
  await addTrustBundle(tx, root, { trustDomain: trust.trustDomain, sequence, keys }, now)
  return sequence
}

async function openKey(
  { crypto, keyring }: RotateSigningKeysParts,
  tx: Tx,
  key: SigningKeyLife | undefined,
): Promise<Signer> {
  const sealedSeed = key === undefined ? undefined : await findSealedSeed(tx, key.kid)
  if (key === undefined || sealedSeed === undefined) {
    throw new SealError(key === undefined ? 'There is no root key.' : `The key ${key.kid} (${key.use}) has no seed.`)
  }
  return openSigningKey(crypto, keyring, { ...key, sealedSeed })
}

function toEvent(writeEvent: WriteEvent, happening: KeyHappening, now: number): LoggedEvent {
  const actor = { type: 'service', id: NIL_UUID } as const
  return writeEvent({ organizationId: NIL_UUID, actor, ...happening, requestId: newId() }, now)
}
