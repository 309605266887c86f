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
import { findTrustDraft, markDraftTold } from '../../database/repositories/trust-drafts.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type TrustBundle, type TrustKey, trustBundle, verifyPinnedTrustBundle } from '../../protocol/trust.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import { openRootOfTrust, openSigningKey, type RootOfTrust } from '../../runtime/custody/service-keys.ts'
import type { Signer } from '../../runtime/custody/signer.ts'
import type { SignedDraftHappening } from '../../runtime/custody/trust-draft.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { RotationTimes } from '../../runtime/rotation-setting.ts'
import { type AwaitedDraft, draftTrustBundle, openDraft, signDraft } from '../rotation/next-trust-bundle.ts'
import { planSigningKeys, type SigningKeyStep } from '../rotation/plan-signing-keys.ts'
import { addTrustBundle, makeSigningKey } from '../signing-keys.ts'

/** `sign`: what waited for a root of trust that is here again. */
export type RotationStep = SigningKeyStep['step'] | 'sign'

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
export async function rotateSigningKeys(parts: RotateSigningKeysParts, now: number): Promise<RotationStep[]> {
  const taken: RotationStep[] = []
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
  await tellOfDraft(parts, now)
}

/** Once a day. */
async function tellOfDraft({ database, logger }: { database: Database; logger: Logger }, now: number): Promise<void> {
  const draft = await database.withoutOrganization(async (tx) =>
    (await markDraftTold(tx, now)) ? findTrustDraft(tx) : undefined,
  )
  if (draft === undefined) return
  const until = draft.signBefore === undefined ? '' : `, before ${new Date(draft.signBefore).toISOString()}`
  logger.warn(
    `trust bundle ${draft.body.sequence} waits for the signature of the root of trust, which is offline${until}`,
  )
}

/** What a step works with, and what becomes of the trust bundle. */
interface Rotation {
  tx: Tx
  /** Undefined while the root of trust is offline. */
  root: Signer | undefined
  trust: TrustBundle
  /** Of the draft that waits for the root of trust, or of the newest bundle where none does. */
  keys: TrustKey[]
  now: number
}

function takeStep(parts: RotateSigningKeysParts, now: number): Promise<RotationStep | undefined> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    await lockKeyRotation(tx)
    const keys = await listSigningKeyLives(tx)
    const newest = await findNewestTrustBundle(tx)
    if (newest === undefined) throw new SealError('There is no trust bundle.')
    const draft = (await findTrustDraft(tx))?.body
    // What a draft takes out is as good as withdrawn, and what it brings is not yet trusted.
    const trusted = newest.keys.filter(({ kid }) => draft?.keys.some((key) => key.kid === kid) ?? true)
    const plan = planSigningKeys(keys, trusted, parts.rotation, now)
    if (plan === undefined && draft === undefined) return undefined
    const root = await openRoot(parts, tx, keys)
    // The root vouches for what it vouched for before, and for what is made here: never for what only the database says.
    const trust = verifyPinnedTrustBundle(parts.crypto, trustBundle.parse(newest), root.kid)
    const awaited = draft && (await openDraft(parts, tx, trust, draft))
    const rotation = { tx, root: root.signer, trust, keys: draft?.keys ?? trust.keys, now }
    const taken = await takeDue(parts, { plan, awaited }, rotation)
    if (taken === undefined) return undefined
    const { step, happened } = taken
    await insertEvents(
      tx,
      happened.map((happening) => toEvent(parts.writeEvent, happening, now)),
    )
    return step
  })
}

type KeyHappening =
  | Happening<'signing_key.activated' | 'signing_key.retired' | 'trust.bundle_drafted'>
  | SignedDraftHappening

/** A draft that waits while the root of trust is here again is signed before anything else. */
async function takeDue(
  parts: RotateSigningKeysParts,
  { plan, awaited }: { plan: SigningKeyStep | undefined; awaited: AwaitedDraft | undefined },
  rotation: Rotation,
): Promise<{ step: RotationStep; happened: KeyHappening[] } | undefined> {
  const { tx, root, now } = rotation
  if (awaited !== undefined && root !== undefined) {
    return { step: 'sign', happened: await signDraft(tx, root, awaited, now) }
  }
  return plan && { step: plan.step, happened: await take(parts, plan, rotation) }
}

function take(parts: RotateSigningKeysParts, plan: SigningKeyStep, rotation: Rotation): Promise<KeyHappening[]> {
  if (plan.step === 'publish') return publish(parts, plan.kinds, rotation)
  if (plan.step === 'activate') return activate(parts, plan.successions, rotation)
  return withdraw(parts, plan.keys, rotation)
}

async function publish(
  parts: RotateSigningKeysParts,
  kinds: (SigningKeyStep & { step: 'publish' })['kinds'],
  rotation: Rotation,
): Promise<KeyHappening[]> {
  const { tx, now } = rotation
  const made: TrustKey[] = []
  for (const kind of kinds) made.push((await makeSigningKey(tx, parts, kind, { isActive: false }, now)).trustKey)
  const { trustSequence, drafted } = await follow(parts, rotation, [...rotation.keys, ...made])
  if (drafted !== undefined) return [drafted]
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
  const keys = rotation.keys.map((key) => ({ ...key, notAfter: ends.get(key.kid) ?? key.notAfter }))
  const unchanged = { trustSequence: trust.sequence, drafted: undefined }
  const { trustSequence, drafted } = ends.size > 0 ? await follow(parts, rotation, keys) : unchanged
  const happened = successions.flatMap(({ successor, retired }): KeyHappening[] => {
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
  return drafted === undefined ? happened : [...happened, drafted]
}

async function withdraw(
  parts: RotateSigningKeysParts,
  keys: readonly SigningKeyLife[],
  rotation: Rotation,
): Promise<KeyHappening[]> {
  const gone = new Set(keys.map(({ kid }) => kid))
  const rest = rotation.keys.filter(({ kid }) => !gone.has(kid))
  const { trustSequence, drafted } = await follow(parts, rotation, rest)
  if (drafted !== undefined) return [drafted]
  return keys.map(({ kid, use, alg }) => ({
    type: 'signing_key.withdrawn',
    subject: { kid },
    data: { use, alg, trustSequence },
  }))
}

/** The next trust bundle, or its draft; and the sequence of the newest that devices may have. */
async function follow(
  parts: RotateSigningKeysParts,
  { tx, root, trust, now }: Rotation,
  keys: TrustKey[],
): Promise<{ trustSequence: number; drafted: Happening<'trust.bundle_drafted'> | undefined }> {
  if (root === undefined) {
    const drafted = await draftTrustBundle(tx, parts, { trust, keys }, now)
    return { trustSequence: trust.sequence, drafted }
  }
  const sequence = trust.sequence + 1
  await addTrustBundle(tx, root, { trustDomain: trust.trustDomain, sequence, keys }, now)
  return { trustSequence: sequence, drafted: undefined }
}

async function openRoot(
  { crypto, keyring }: RotateSigningKeysParts,
  tx: Tx,
  keys: readonly SigningKeyLife[],
): Promise<RootOfTrust> {
  const root = keys.find(({ use, status }) => use === 'root' && status === 'ACTIVE')
  const sealedSeed = root === undefined ? undefined : await findSealedSeed(tx, root.kid)
  if (root === undefined || sealedSeed === undefined) throw new SealError('There is no root key.')
  return openRootOfTrust(crypto, keyring, { ...root, sealedSeed })
}

async function openKey({ crypto, keyring }: RotateSigningKeysParts, tx: Tx, key: SigningKeyLife): Promise<Signer> {
  const sealedSeed = await findSealedSeed(tx, key.kid)
  if (sealedSeed === undefined) throw new SealError(`The key ${key.kid} (${key.use}) has no seed.`)
  return openSigningKey(crypto, keyring, { ...key, sealedSeed })
}

function toEvent(writeEvent: WriteEvent, happening: KeyHappening, now: number): LoggedEvent {
  const actor = { type: 'service', id: NIL_UUID } as const
  return writeEvent({ organizationId: NIL_UUID, actor, ...happening, requestId: newId() }, now)
}
