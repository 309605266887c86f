import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { enterOrganization } from '../../database/repositories/organizations.ts'
import { findNewestTrustBundle, findTrustBundle } from '../../database/repositories/service-keys.ts'
import { listSigningKeys, lockKeyRotation } from '../../database/repositories/signing-keys.ts'
import { findTrustDraft, storeSignedDraft } from '../../database/repositories/trust-drafts.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import {
  type TrustBundle,
  trustBundle,
  type UnsignedTrustBundle,
  verifyNextTrustBundle,
  verifyPinnedTrustBundle,
  type WireTrustBundle,
} from '../../protocol/trust.ts'
import { isSameBundle, type TrustDifference } from '../../protocol/trust-draft.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { openRootOfTrust } from '../../runtime/custody/service-keys.ts'
import { happeningsOfSigned, verifyTrustDraft } from '../../runtime/custody/trust-draft.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export type TrustDrafts = ReturnType<typeof createTrustDrafts>

/** What waits for the root of trust, with the bundle that it follows. */
export interface AwaitedTrust {
  previous: WireTrustBundle
  next: UnsignedTrustBundle
  awaitedSince: number
  signBefore: number | undefined
}

/** The way of the next trust bundle to a root of trust that is offline, and back. */
export function createTrustDrafts(parts: {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  rootKid: string
}) {
  const { database, keyring, crypto, rootKid } = parts

  /** Nothing that somebody else put into the database goes to the root of trust, or to devices. */
  async function findGenuine(
    tx: Tx,
  ): Promise<(AwaitedTrust & { held: TrustBundle; difference: TrustDifference }) | undefined> {
    const draft = await findTrustDraft(tx)
    if (draft === undefined) return undefined
    const previous = await findNewestTrustBundle(tx)
    if (previous === undefined) throw new ServiceError('internal', 'There is no trust bundle.')
    try {
      const held = verifyPinnedTrustBundle(crypto, trustBundle.parse(previous), rootKid)
      const stored = await listSigningKeys(tx)
      const difference = await verifyTrustDraft(crypto, keyring, { held, draft: draft.body, stored })
      const { createdAt: awaitedSince, signBefore } = draft
      return { previous, next: draft.body, awaitedSince, signBefore, held, difference }
    } catch (cause) {
      throw new ServiceError('internal', 'The stored draft of the next trust bundle is not this service’s.', { cause })
    }
  }

  async function isRootOffline(tx: Tx): Promise<boolean> {
    const root = (await listSigningKeys(tx)).find(({ kid }) => kid === rootKid)
    if (root?.sealedSeed === undefined) throw new ServiceError('internal', 'There is no root of trust.')
    const { signer } = await openRootOfTrust(crypto, keyring, { ...root, sealedSeed: root.sealedSeed })
    return signer === undefined
  }

  return {
    /** `awaited`: undefined while nothing waits. */
    find(): Promise<{ rootKid: string; isRootOffline: boolean; awaited: AwaitedTrust | undefined }> {
      return database.withoutOrganization(async (tx) => ({
        rootKid,
        isRootOffline: await isRootOffline(tx),
        awaited: await findGenuine(tx),
      }))
    },

    /**
     * The draft with its signature: it is given to devices from here on. Again it is the same answer, whoever signed it anew.
     * Throws `draft_mismatch` for anything but the draft of now under a valid signature.
     */
    submit(caller: Operator, submitted: TrustBundle, requestId: string): Promise<number> {
      return changeAs(parts, caller, async (tx, now) => {
        await lockKeyRotation(tx)
        const stored = await findTrustBundle(tx, submitted.sequence)
        if (stored !== undefined) {
          if (isSameBundle(stored, submitted)) verify(() => verifyPinnedTrustBundle(crypto, submitted, rootKid))
          else throw mismatch(`Trust bundle ${submitted.sequence} is another one already.`)
          return submitted.sequence
        }
        const draft = await findGenuine(tx)
        if (draft === undefined || !isSameBundle(draft.next, submitted)) {
          throw mismatch('This is not the trust bundle that waits: fetch the draft again, and sign that.')
        }
        // As a device would, and under the root of trust that this service has.
        verify(() => verifyNextTrustBundle(crypto, draft.held, submitted))
        verify(() => verifyPinnedTrustBundle(crypto, submitted, rootKid))
        const { sequence } = submitted
        const signatures = submitted.signatures.map((one) => ({ ...one, signature: toBase64url(one.signature) }))
        if (!(await storeSignedDraft(tx, { sequence, signatures }, now))) {
          throw new Error(`The draft of trust bundle ${sequence} changed under the lock.`)
        }
        // It is the service's own, and stands in its log, with who did it.
        await enterOrganization(tx, NIL_UUID)
        const shared = { organizationId: NIL_UUID, actor: actorOf(caller), requestId }
        const happened = happeningsOfSigned(rootKid, submitted.sequence, draft.difference)
        await insertEvents(
          tx,
          happened.map((happening) => parts.writeEvent({ ...shared, ...happening }, now)),
        )
        return submitted.sequence
      })
    },
  }
}

function verify(check: () => TrustBundle): void {
  try {
    check()
  } catch (cause) {
    throw mismatch('The signature is not of the root of trust of this service.', cause)
  }
}

function mismatch(detail: string, cause?: unknown): ServiceError {
  return new ServiceError('draft_mismatch', detail, { cause })
}
