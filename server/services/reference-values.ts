import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findReferenceValue,
  insertReferenceValues,
  listLiveReferenceValues,
  listReferenceValues,
  lockReferenceValues,
  type ReferenceValueRow,
  removeReferenceValue,
} from '../../database/repositories/reference-values.ts'
import { evidenceFormats } from '../../protocol/attestation/formats.ts'
import type { AnchoredFormat } from '../../protocol/attestation/trust-anchor-wish.ts'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { isReferenceValueGenuine, macReferenceValue } from '../../runtime/custody/attestation-input-macs.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export interface ReferenceValueParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
}

/** A reference value for its operators. */
export interface ShownReferenceValue
  extends Pick<ReferenceValueRow, 'id' | 'format' | 'name' | 'createdAt' | 'removedAt'> {
  value: Json
  /** SHA-256 of its canonical JSON, in hexadecimal. */
  valueHash: string
  /** False when somebody else than an operator changed the row: it counts for nothing. */
  isGenuine: boolean
}

export type ReferenceValues = ReturnType<typeof createReferenceValues>

/** Of one name and format: every piece of evidence is compared with all of them. */
const MAX_OF_NAME = 64
const MAX_BODY_LENGTH = 65_536
/** Of all of them, in canonical JSON: they are read at every attestation, and who reads them serves other organizations too. */
const MAX_NAME_LENGTH = 524_288

/** What an organization expects of evidence: added and removed, never changed. */
export function createReferenceValues(parts: ReferenceValueParts) {
  const { database, keyring, crypto } = parts

  async function toShown(row: ReferenceValueRow): Promise<ShownReferenceValue> {
    const { id, format, name, body, createdAt, removedAt } = row
    const isGenuine = await isReferenceValueGenuine(keyring, row)
    const value = isGenuine ? (JSON.parse(body) as Json) : null
    return {
      id,
      format,
      name,
      value,
      valueHash: Buffer.from(hashOf(crypto, body)).toString('hex'),
      isGenuine,
      createdAt,
      removedAt,
    }
  }

  function toEvent(
    operator: Operator,
    type: 'reference_value.added' | 'reference_value.removed',
    row: ReferenceValueRow,
    { requestId, now }: { requestId: string; now: number },
  ) {
    const { id, organizationId, format, name, body } = row
    const data = { format, name, valueHash: Buffer.from(hashOf(crypto, body)).toString('hex') }
    return parts.writeEvent(
      { organizationId, actor: actorOf(operator), type, subject: { referenceValueId: id }, data, requestId },
      now,
    )
  }

  /** What is not as it was made gets no MAC that it never had: removed, it still counts for nothing of the past. */
  async function remove(tx: Tx, row: ReferenceValueRow, removedAt: number): Promise<void> {
    const isGenuine = await isReferenceValueGenuine(keyring, row)
    const made = isGenuine ? macReferenceValue(keyring, { ...row, removedAt }) : undefined
    const { mac, version: macKeyVersion } = made ?? { mac: row.mac, version: row.macKeyVersion }
    await removeReferenceValue(tx, { id: row.id, removedAt, mac, macKeyVersion })
  }

  return {
    /** All of them, or none; what is there already is that one, and nothing happens. Throws `malformed`. */
    add(
      operator: Operator,
      wish: { format: AnchoredFormat; name: string; values: readonly Json[] },
      requestId: string,
    ): Promise<{ referenceValue: ShownReferenceValue; isNew: boolean }[]> {
      const { format, name } = wish
      const bodies = readBodies(wish)
      const { organizationId } = operator
      return changeAs(parts, operator, async (tx, now) => {
        await lockReferenceValues(tx)
        const live = new Map<string, ReferenceValueRow>()
        const events = []
        for (const row of await listLiveReferenceValues(tx, { format, name })) {
          if (await isReferenceValueGenuine(keyring, row)) {
            live.set(row.body, row)
          } else {
            await remove(tx, row, now)
            events.push(toEvent(operator, 'reference_value.removed', row, { requestId, now }))
          }
        }
        const rows = [...new Set(bodies)]
          .filter((body) => !live.has(body))
          .map((body): ReferenceValueRow => {
            const bodyHash = hashOf(crypto, body)
            const facts = {
              organizationId,
              id: newId(),
              format,
              name,
              body,
              bodyHash,
              createdAt: now,
              removedAt: undefined,
            }
            const { mac, version: macKeyVersion } = macReferenceValue(keyring, facts)
            return { ...facts, mac, macKeyVersion }
          })
        if (live.size + rows.length > MAX_OF_NAME) {
          throw new ServiceError('malformed', `There may be ${MAX_OF_NAME} values of one name, not more.`, {
            field: 'values',
          })
        }
        const length = [...live.values(), ...rows].reduce((sum, { body }) => sum + body.length, 0)
        if (length > MAX_NAME_LENGTH) {
          throw new ServiceError('malformed', `The values of one name have ${MAX_NAME_LENGTH} characters at most.`, {
            field: 'values',
          })
        }
        if (rows.length > 0) await insertReferenceValues(tx, rows)
        events.push(...rows.map((row) => toEvent(operator, 'reference_value.added', row, { requestId, now })))
        const added = new Map(rows.map((row) => [row.body, row]))
        const found = bodies.map((body) => (live.get(body) ?? added.get(body)) as ReferenceValueRow)
        const shown = await Promise.all(
          found.map(async (row) => ({ referenceValue: await toShown(row), isNew: added.has(row.body) })),
        )
        if (events.length > 0) await insertEvents(tx, events)
        return shown
      })
    },

    /** Those that are not removed. */
    list(operator: Operator, page: Parameters<typeof listReferenceValues>[1]): Promise<ShownReferenceValue[]> {
      return database.withOrganization(operator.organizationId, async (tx) =>
        Promise.all((await listReferenceValues(tx, page)).map(toShown)),
      )
    },

    /** Also when it is removed. */
    async get(operator: Operator, id: string): Promise<ShownReferenceValue> {
      return toShown(await database.withOrganization(operator.organizationId, (tx) => getReferenceValue(tx, id)))
    },

    /** For whatever is appraised from now on. Repeating it changes nothing. */
    remove(operator: Operator, id: string, requestId: string): Promise<void> {
      return changeAs(parts, operator, async (tx, now) => {
        await lockReferenceValues(tx)
        const row = await getReferenceValue(tx, id)
        if (row.removedAt !== undefined) return
        await remove(tx, row, now)
        await insertEvents(tx, [toEvent(operator, 'reference_value.removed', row, { requestId, now })])
      })
    },
  }
}

function readBodies({ format, values }: { format: AnchoredFormat; values: readonly Json[] }): string[] {
  return values.map((value, index) => {
    const field = `values.${index}`
    const { data, error } = evidenceFormats[format].referenceValue.safeParse(value)
    if (data === undefined) {
      const [issue] = error?.issues ?? []
      const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.map(String).join('.')}`
      const detail = `Not a reference value of ${format}${where}: ${issue?.message ?? 'it holds nothing.'}`
      throw new ServiceError('malformed', detail, { field })
    }
    const body = canonicalJson(data)
    if (body.length <= MAX_BODY_LENGTH) return body
    throw new ServiceError('malformed', 'A reference value has at most 64 KiB.', { field })
  })
}

async function getReferenceValue(tx: Tx, id: string): Promise<ReferenceValueRow> {
  const row = await findReferenceValue(tx, id)
  if (row === undefined) throw new ServiceError('not_found', 'There is no such reference value.')
  return row
}

function hashOf(crypto: Primitives, body: string): Uint8Array {
  return crypto.sha256(new TextEncoder().encode(body))
}
