import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type CollateralRow,
  findBodyOwner,
  findCollateral,
  findLiveCollateral,
  getCollateralBody,
  insertCollateral,
  listCollateral,
  lockCollateral,
  removeCollateral,
} from '../../database/repositories/collateral.ts'
import {
  type CollateralWish,
  type NamedCollateral,
  readCollateral,
} from '../../protocol/attestation/collateral-wish.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { isCollateralGenuine, macCollateral } from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export interface CollateralParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

/** Collateral for its operators. */
export interface ShownCollateral extends Omit<CollateralRow, 'organizationId' | 'mac' | 'macKeyVersion'> {
  /** False when somebody else than an operator changed the row: it counts for nothing. */
  isGenuine: boolean
}

export type CollateralService = ReturnType<typeof createCollateral>

/** What is published about evidence: of each look-up id the newest, which takes the place of the one before. */
export function createCollateral(parts: CollateralParts) {
  const { database, keyring, crypto } = parts

  async function toShown({ organizationId, mac, macKeyVersion, ...row }: CollateralRow): Promise<ShownCollateral> {
    return { ...row, isGenuine: await isCollateralGenuine(keyring, { organizationId, mac, macKeyVersion, ...row }) }
  }

  function toEvent(
    operator: Operator,
    type: 'collateral.added' | 'collateral.removed',
    row: CollateralRow,
    { requestId, now, replacedBy }: { requestId: string; now: number; replacedBy?: string },
  ) {
    const { id, organizationId, kind, lookupId, name, issuedAt, nextUpdateAt = null } = row
    const bodyHash = Buffer.from(row.bodyHash).toString('hex')
    const facts = { kind, lookupId, bodyHash, name, issuedAt, nextUpdateAt }
    const data = replacedBy === undefined ? facts : { ...facts, replacedBy }
    const happening = { type, subject: { collateralId: id }, data }
    return parts.writeEvent({ organizationId, actor: actorOf(operator), ...happening, requestId }, now)
  }

  /** What is not as it was made gets no MAC that it never had: removed, it still counts for nothing of the past. */
  async function remove(tx: Tx, row: CollateralRow, removedAt: number): Promise<void> {
    const isGenuine = await isCollateralGenuine(keyring, row)
    const made = isGenuine ? macCollateral(keyring, { ...row, removedAt }) : undefined
    const { mac, version: macKeyVersion } = made ?? { mac: row.mac, version: row.macKeyVersion }
    await removeCollateral(tx, { id: row.id, removedAt, mac, macKeyVersion })
  }

  /** The same that is there already does not take its place, unless it is known to be good for longer. Throws `malformed` for an older one. */
  function isThere(wanted: NamedCollateral, bodyHash: Uint8Array, live: CollateralRow): boolean {
    if (crypto.equal(live.bodyHash, bodyHash)) return wanted.issuedAt <= live.issuedAt
    if (wanted.issuedAt >= live.issuedAt) return false
    const [given, known] = [wanted, live].map(({ issuedAt }) => new Date(issuedAt).toISOString())
    throw new ServiceError('malformed', `It was issued at ${given}, and the one that is there at ${known}.`, {
      field: 'body',
    })
  }

  return {
    /** What is there already is that one, and nothing happens. Throws `malformed`, for one that is older too. */
    add(
      operator: Operator,
      wish: CollateralWish,
      requestId: string,
    ): Promise<{ collateral: ShownCollateral; isNew: boolean }> {
      const { organizationId } = operator
      const wanted = readWish(wish, parts.clock.now())
      const bodyHash = crypto.sha256(wanted.body)
      return changeAs(parts, operator, async (tx, now) => {
        await lockCollateral(tx)
        const live = await findLiveCollateral(tx, wanted.lookupId)
        const events = []
        const id = newId()
        let owner: string | undefined
        if (live !== undefined) {
          const isGenuine = await isCollateralGenuine(keyring, live)
          if (isGenuine && isThere(wanted, bodyHash, live)) return { collateral: await toShown(live), isNew: false }
          if (crypto.equal(live.bodyHash, bodyHash)) owner = await findBodyOwner(tx, live.id)
          await remove(tx, live, now)
          events.push(toEvent(operator, 'collateral.removed', live, { requestId, now, replacedBy: id }))
        }
        const { body, ...facts } = wanted
        const made = { ...facts, organizationId, id, bodyHash, createdAt: now, removedAt: undefined }
        const { mac, version: macKeyVersion } = macCollateral(keyring, made)
        const row = { ...made, bodyBytes: body.length, mac, macKeyVersion }
        await insertCollateral(tx, row, owner === undefined ? body : { of: owner })
        events.push(toEvent(operator, 'collateral.added', row, { requestId, now }))
        await insertEvents(tx, events)
        return { collateral: await toShown(row), isNew: true }
      })
    },

    /** Those that are not removed. */
    list(operator: Operator, page: Parameters<typeof listCollateral>[1]): Promise<ShownCollateral[]> {
      return database.withOrganization(operator.organizationId, async (tx) =>
        Promise.all((await listCollateral(tx, page)).map(toShown)),
      )
    },

    /** Also when it is removed. With its body. */
    get(operator: Operator, id: string): Promise<ShownCollateral & { body: Uint8Array }> {
      return database.withOrganization(operator.organizationId, async (tx) => {
        const shown = await toShown(await getRow(tx, id))
        return { ...shown, body: await getCollateralBody(tx, id) }
      })
    },

    /** For whatever is appraised from now on. Repeating it changes nothing. */
    remove(operator: Operator, id: string, requestId: string): Promise<void> {
      return changeAs(parts, operator, async (tx, now) => {
        await lockCollateral(tx)
        const row = await getRow(tx, id)
        if (row.removedAt !== undefined) return
        await remove(tx, row, now)
        await insertEvents(tx, [toEvent(operator, 'collateral.removed', row, { requestId, now })])
      })
    },
  }
}

function readWish(wish: CollateralWish, now: number): NamedCollateral {
  try {
    return readCollateral(wish, now)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new ServiceError('malformed', error.message, { field: 'body', cause: error })
  }
}

async function getRow(tx: Tx, id: string): Promise<CollateralRow> {
  const row = await findCollateral(tx, id)
  if (row === undefined) throw new ServiceError('not_found', 'There is no such collateral.')
  return row
}
