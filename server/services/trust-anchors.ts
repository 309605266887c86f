import { createHash, createPublicKey } from 'node:crypto'
import type { Database, Tx } from '../../database/open.ts'
import { lockAttestationInputs } from '../../database/repositories/attestation-inputs.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findSameTrustAnchor,
  findTrustAnchor,
  insertTrustAnchors,
  listTrustAnchors,
  markTrustAnchorRemoved,
  type TrustAnchorRow,
} from '../../database/repositories/trust-anchors.ts'
import type { EvidenceFormatName, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import { parseCertificate } from '../../protocol/attestation/x509/parse-certificate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { macInput } from '../../runtime/custody/attestation-input-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export interface TrustAnchorParts {
  database: Database
  keyring: Keyring
  clock: Clock
  writeEvent: WriteEvent
}

export interface TrustAnchorWish {
  format: EvidenceFormatName
  kind: TrustAnchor['kind']
  der: Uint8Array
  /** Of a key, which says nothing of whose it is. */
  lookupId: string | undefined
  label: string | undefined
}

export type { TrustAnchorRow }
export type TrustAnchors = ReturnType<typeof createTrustAnchors>

/** What each format ends at. */
const anchorKinds: Record<EvidenceFormatName, readonly TrustAnchor['kind'][]> = {
  none: [],
  psa: ['key'],
  tpm2: ['root', 'intermediate'],
}

/** What an organization trusts: certificates and keys, added and removed, never changed. */
export function createTrustAnchors(parts: TrustAnchorParts) {
  const { database } = parts
  return {
    /**
     * In the order of the wishes; one that is there already is answered as it is, without an event. All of them, or none. Throws
     * `malformed` with the place of the first that cannot be trusted.
     */
    add(operator: Operator, wishes: readonly TrustAnchorWish[], requestId: string): Promise<TrustAnchorRow[]> {
      const wanted = wishes.map(toAnchor)
      const { organizationId } = operator
      return changeAs(parts, operator, async (tx, createdAt) => {
        await lockAttestationInputs(tx)
        const made: TrustAnchorRow[] = []
        const answer: TrustAnchorRow[] = []
        for (const anchor of wanted) {
          const same = made.find((row) => isSame(row, anchor)) ?? (await findSameTrustAnchor(tx, anchor))
          if (same === undefined) made.push(toRow(parts.keyring, organizationId, anchor, createdAt))
          answer.push(same ?? (made.at(-1) as TrustAnchorRow))
        }
        if (made.length > 0) await insertTrustAnchors(tx, made)
        await insertEvents(
          tx,
          made.map((row) => anchorEvent(parts, operator, 'trust_anchor.added', row, { requestId, now: createdAt })),
        )
        return answer
      })
    },

    list(operator: Operator, page: Parameters<typeof listTrustAnchors>[1]): Promise<TrustAnchorRow[]> {
      return database.withOrganization(operator.organizationId, (tx) => listTrustAnchors(tx, page))
    },

    get(operator: Operator, id: string): Promise<TrustAnchorRow> {
      return database.withOrganization(operator.organizationId, (tx) => getAnchor(tx, id))
    },

    /** Nothing that comes later is verified with it. What was decided with it stays as it is. */
    remove(operator: Operator, id: string, requestId: string): Promise<void> {
      return changeAs(parts, operator, async (tx, now) => {
        const anchor = await getAnchor(tx, id)
        if (!(await markTrustAnchorRemoved(tx, id, now))) return
        await insertEvents(tx, [anchorEvent(parts, operator, 'trust_anchor.removed', anchor, { requestId, now })])
      })
    },
  }
}

async function getAnchor(tx: Tx, id: string): Promise<TrustAnchorRow> {
  const anchor = await findTrustAnchor(tx, id)
  if (anchor === undefined) throw new ServiceError('not_found', 'There is no such trust anchor.')
  return anchor
}

type Anchor = Pick<TrustAnchorRow, 'format' | 'kind' | 'der' | 'lookupId' | 'fingerprint' | 'label'>

function isSame(one: Anchor, other: Anchor): boolean {
  return (
    one.format === other.format &&
    one.kind === other.kind &&
    one.lookupId === other.lookupId &&
    Buffer.from(one.fingerprint).equals(other.fingerprint)
  )
}

function toAnchor(wish: TrustAnchorWish, index: number): Anchor {
  const { format, kind, der, label } = wish
  const field = `items.${index}`
  if (!anchorKinds[format].includes(kind)) {
    const kinds = anchorKinds[format].join(' or ')
    throw malformed(`${field}.kind`, kinds === '' ? `${format} has no trust anchors.` : `${format} takes ${kinds}.`)
  }
  const lookupId = kind === 'key' ? keyLookupId(wish, field) : certificateLookupId(wish, field)
  return { format, kind, der, lookupId, fingerprint: createHash('sha256').update(der).digest(), label }
}

function keyLookupId({ format, der, lookupId = '' }: TrustAnchorWish, field: string): string {
  if (!new RegExp(`^${format}:([0-9a-f]{2}){1,64}$`).test(lookupId)) {
    throw malformed(`${field}.lookupId`, `A key of ${format} is looked up as ${format}:<hex>.`)
  }
  try {
    createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' })
  } catch (cause) {
    throw malformed(`${field}.der`, 'Holds no SubjectPublicKeyInfo that can be read.', cause)
  }
  return lookupId
}

function certificateLookupId({ der, lookupId }: TrustAnchorWish, field: string): string {
  if (lookupId !== undefined) throw malformed(`${field}.lookupId`, 'A certificate is looked up by its subject.')
  try {
    const { isAuthority, subjectId } = parseCertificate(der)
    if (!isAuthority) throw malformed(`${field}.der`, 'The certificate is not that of an authority.')
    return subjectId
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw malformed(`${field}.der`, error.message, error)
  }
}

function malformed(field: string, message: string, cause?: unknown): ServiceError {
  return new ServiceError('malformed', `${field}: ${message}`, { field, cause })
}

function toRow(keyring: Keyring, organizationId: string, anchor: Anchor, createdAt: number): TrustAnchorRow {
  const facts = { input: 'trust_anchor', ...anchor, organizationId, id: newId() } as const
  const { mac, version: macKeyVersion } = macInput(keyring, facts)
  return { ...facts, mac, macKeyVersion, createdAt, removedAt: undefined }
}

function anchorEvent(
  { writeEvent }: TrustAnchorParts,
  operator: Operator,
  type: 'trust_anchor.added' | 'trust_anchor.removed',
  { id: trustAnchorId, format, kind: anchorKind, lookupId, fingerprint }: TrustAnchorRow,
  { requestId, now }: { requestId: string; now: number },
): LoggedEvent {
  const data = { format, anchorKind, lookupId, fingerprint: Buffer.from(fingerprint).toString('hex') }
  const { organizationId } = operator
  return writeEvent(
    { organizationId, actor: actorOf(operator), type, subject: { trustAnchorId }, data, requestId },
    now,
  )
}
