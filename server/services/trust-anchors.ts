import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findTrustAnchor,
  insertTrustAnchors,
  listLiveTrustAnchors,
  listTrustAnchors,
  lockTrustAnchors,
  removeTrustAnchor,
  type TrustAnchorRow,
} from '../../database/repositories/trust-anchors.ts'
import {
  type NamedTrustAnchor,
  readTrustAnchors,
  type TrustAnchorWish,
} from '../../protocol/attestation/trust-anchor-wish.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { isTrustAnchorGenuine, macTrustAnchor } from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export interface TrustAnchorParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

/** A trust anchor for its operators. */
export interface ShownTrustAnchor
  extends Pick<TrustAnchorRow, 'id' | 'format' | 'kind' | 'lookupId' | 'name' | 'der' | 'createdAt' | 'removedAt'> {
  /** SHA-256 of the DER, in hexadecimal. */
  fingerprint: string
  /** False when somebody else than an operator changed the row: it counts for nothing. */
  isGenuine: boolean
}

export type TrustAnchors = ReturnType<typeof createTrustAnchors>

/** Of one name or one device: what leads there is tried one after another. */
const MAX_OF_LOOKUP_ID = 16

/** What an organization trusts: added and removed, never changed. */
export function createTrustAnchors(parts: TrustAnchorParts) {
  const { database, keyring, crypto } = parts

  async function toShown(row: TrustAnchorRow): Promise<ShownTrustAnchor> {
    const { id, format, kind, lookupId, name, der, createdAt, removedAt } = row
    const isGenuine = await isTrustAnchorGenuine(keyring, row)
    const fingerprint = fingerprintOf(crypto, der)
    return { id, format, kind, lookupId, name, der, createdAt, removedAt, fingerprint, isGenuine }
  }

  function toEvent(
    operator: Operator,
    type: 'trust_anchor.added' | 'trust_anchor.removed',
    row: TrustAnchorRow,
    { requestId, now }: { requestId: string; now: number },
  ) {
    const { id, organizationId, format, kind, lookupId, der, name } = row
    const data = { format, kind, lookupId, fingerprint: fingerprintOf(crypto, der), name }
    return parts.writeEvent(
      { organizationId, actor: actorOf(operator), type, subject: { trustAnchorId: id }, data, requestId },
      now,
    )
  }

  /** What is not as it was made gets no MAC that it never had: removed, it still counts for nothing of the past. */
  async function remove(tx: Tx, row: TrustAnchorRow, removedAt: number): Promise<void> {
    const isGenuine = await isTrustAnchorGenuine(keyring, row)
    const made = isGenuine ? macTrustAnchor(keyring, { ...row, removedAt }) : undefined
    const { mac, version: macKeyVersion } = made ?? { mac: row.mac, version: row.macKeyVersion }
    await removeTrustAnchor(tx, { id: row.id, removedAt, mac, macKeyVersion })
  }

  return {
    /** All of them, or none; what is there already is that one, and nothing happens. Throws `malformed`. */
    add(
      operator: Operator,
      wish: TrustAnchorWish,
      requestId: string,
    ): Promise<{ anchor: ShownTrustAnchor; isNew: boolean }[]> {
      const wanted = readWish(wish)
      const { organizationId } = operator
      const { format } = wish
      return changeAs(parts, operator, async (tx, now) => {
        await lockTrustAnchors(tx)
        const lookupIds = [...new Set(wanted.map(({ lookupId }) => lookupId))]
        const live = new Map<string, TrustAnchorRow>()
        const events = []
        for (const row of await listLiveTrustAnchors(tx, format, lookupIds)) {
          if (await isTrustAnchorGenuine(keyring, row)) {
            live.set(keyOf(row), row)
          } else {
            await remove(tx, row, now)
            events.push(toEvent(operator, 'trust_anchor.removed', row, { requestId, now }))
          }
        }
        const added = new Map<string, TrustAnchorRow>()
        for (const anchor of wanted) {
          if (live.has(keyOf(anchor)) || added.has(keyOf(anchor))) continue
          const facts = { ...anchor, organizationId, id: newId(), format, createdAt: now, removedAt: undefined }
          const { mac, version: macKeyVersion } = macTrustAnchor(keyring, facts)
          added.set(keyOf(anchor), { ...facts, mac, macKeyVersion })
        }
        const rows = [...added.values()]
        requireFew([...live.values(), ...rows])
        if (rows.length > 0) await insertTrustAnchors(tx, rows)
        events.push(...rows.map((row) => toEvent(operator, 'trust_anchor.added', row, { requestId, now })))
        const found = wanted.map((anchor) => (live.get(keyOf(anchor)) ?? added.get(keyOf(anchor))) as TrustAnchorRow)
        const shown = await Promise.all(
          found.map(async (row) => ({ anchor: await toShown(row), isNew: added.has(keyOf(row)) })),
        )
        if (events.length > 0) await insertEvents(tx, events)
        return shown
      })
    },

    /** Those that are not removed. */
    list(operator: Operator, page: Parameters<typeof listTrustAnchors>[1]): Promise<ShownTrustAnchor[]> {
      return database.withOrganization(operator.organizationId, async (tx) =>
        Promise.all((await listTrustAnchors(tx, page)).map(toShown)),
      )
    },

    /** Also when it is removed. */
    async get(operator: Operator, id: string): Promise<ShownTrustAnchor> {
      return toShown(await database.withOrganization(operator.organizationId, (tx) => getTrustAnchor(tx, id)))
    },

    /** For whatever is appraised from now on. Repeating it changes nothing. */
    remove(operator: Operator, id: string, requestId: string): Promise<void> {
      return changeAs(parts, operator, async (tx, now) => {
        await lockTrustAnchors(tx)
        const row = await getTrustAnchor(tx, id)
        if (row.removedAt !== undefined) return
        await remove(tx, row, now)
        await insertEvents(tx, [toEvent(operator, 'trust_anchor.removed', row, { requestId, now })])
      })
    },
  }
}

function readWish(wish: TrustAnchorWish): NamedTrustAnchor[] {
  try {
    return readTrustAnchors(wish)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const field = wish.format === 'psa' ? 'keys' : 'pem'
    throw new ServiceError('malformed', error.message, { field, cause: error })
  }
}

async function getTrustAnchor(tx: Tx, id: string): Promise<TrustAnchorRow> {
  const row = await findTrustAnchor(tx, id)
  if (row === undefined) throw new ServiceError('not_found', 'There is no such trust anchor.')
  return row
}

function requireFew(rows: readonly TrustAnchorRow[]): void {
  for (const [lookupId, same] of Map.groupBy(rows, (row) => row.lookupId)) {
    if (same.length <= MAX_OF_LOOKUP_ID) continue
    throw new ServiceError('malformed', `There may be ${MAX_OF_LOOKUP_ID} trust anchors of ${lookupId}, not more.`)
  }
}

/** What makes two anchors of a format the same one. */
function keyOf({ lookupId, kind, der }: Pick<NamedTrustAnchor, 'lookupId' | 'kind' | 'der'>): string {
  return `${lookupId} ${kind} ${Buffer.from(der).toString('base64')}`
}

function fingerprintOf(crypto: Primitives, der: Uint8Array): string {
  return Buffer.from(crypto.sha256(der)).toString('hex')
}
