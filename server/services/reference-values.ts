import { createHash } from 'node:crypto'
import type { Database, Tx } from '../../database/open.ts'
import { lockAttestationInputs } from '../../database/repositories/attestation-inputs.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findReferenceValue,
  findSameReferenceValue,
  insertReferenceValues,
  listReferenceValues,
  markReferenceValueRemoved,
  type ReferenceValueRow,
} from '../../database/repositories/reference-values.ts'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import { evidenceFormats } from '../../protocol/attestation/formats.ts'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { macInput } from '../../runtime/custody/attestation-input-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export interface ReferenceValueParts {
  database: Database
  keyring: Keyring
  clock: Clock
  writeEvent: WriteEvent
}

export type { ReferenceValueRow }
export type ReferenceValues = ReturnType<typeof createReferenceValues>

/** What an organization expects of platforms: values under names, which policies name; added and removed, never changed. */
export function createReferenceValues(parts: ReferenceValueParts) {
  const { database } = parts
  return {
    /**
     * In the order of `values`; one that is there already is answered as it is, without an event. All of them, or none. Throws
     * `malformed` with the place of the first that is none of the format.
     */
    add(
      operator: Operator,
      { format, name, values }: { format: EvidenceFormatName; name: string; values: readonly Json[] },
      requestId: string,
    ): Promise<ReferenceValueRow[]> {
      const bodies = values.map((value, index) => canonicalJson(parseValue(format, value, index)))
      const { organizationId } = operator
      return changeAs(parts, operator, async (tx, createdAt) => {
        await lockAttestationInputs(tx)
        const made: ReferenceValueRow[] = []
        const answer: ReferenceValueRow[] = []
        for (const body of bodies) {
          const fingerprint = createHash('sha256').update(body).digest()
          const same =
            made.find((row) => row.body === body) ?? (await findSameReferenceValue(tx, { format, name, fingerprint }))
          if (same === undefined) {
            const facts = { input: 'reference_value', organizationId, id: newId(), format, name, body } as const
            const { mac, version: macKeyVersion } = macInput(parts.keyring, facts)
            made.push({ ...facts, fingerprint, mac, macKeyVersion, createdAt, removedAt: undefined })
          }
          answer.push(same ?? (made.at(-1) as ReferenceValueRow))
        }
        if (made.length > 0) await insertReferenceValues(tx, made)
        await insertEvents(
          tx,
          made.map((row) => valueEvent(parts, operator, 'reference_value.added', row, { requestId, now: createdAt })),
        )
        return answer
      })
    },

    list(operator: Operator, page: Parameters<typeof listReferenceValues>[1]): Promise<ReferenceValueRow[]> {
      return database.withOrganization(operator.organizationId, (tx) => listReferenceValues(tx, page))
    },

    get(operator: Operator, id: string): Promise<ReferenceValueRow> {
      return database.withOrganization(operator.organizationId, (tx) => getValue(tx, id))
    },

    /** Nothing that comes later is held against it. What was decided with it stays as it is. */
    remove(operator: Operator, id: string, requestId: string): Promise<void> {
      return changeAs(parts, operator, async (tx, now) => {
        const value = await getValue(tx, id)
        if (!(await markReferenceValueRemoved(tx, id, now))) return
        await insertEvents(tx, [valueEvent(parts, operator, 'reference_value.removed', value, { requestId, now })])
      })
    },
  }
}

async function getValue(tx: Tx, id: string): Promise<ReferenceValueRow> {
  const value = await findReferenceValue(tx, id)
  if (value === undefined) throw new ServiceError('not_found', 'There is no such reference value.')
  return value
}

function parseValue(format: EvidenceFormatName, value: Json, index: number): Json {
  const parsed = evidenceFormats[format].referenceValue.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = ['values', index, ...(issue?.path ?? [])].join('.')
  throw new ServiceError('malformed', `${field}: ${issue?.message ?? 'Not a reference value of the format.'}`, {
    field,
  })
}

function valueEvent(
  { writeEvent }: ReferenceValueParts,
  operator: Operator,
  type: 'reference_value.added' | 'reference_value.removed',
  { id: referenceValueId, format, name, fingerprint }: ReferenceValueRow,
  { requestId, now }: { requestId: string; now: number },
): LoggedEvent {
  const data = { format, name, fingerprint: Buffer.from(fingerprint).toString('hex') }
  const { organizationId } = operator
  return writeEvent(
    { organizationId, actor: actorOf(operator), type, subject: { referenceValueId }, data, requestId },
    now,
  )
}
