import type { LogEntry, OutboxEntry } from '../../database/repositories/audit-log.ts'
import { canonicalJson, isUuid, type Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'

type Members = { [key: string]: Json }

/**
 * What filters look for, out of a row of the outbox; or why it is no event. A service of a newer release may know types that
 * this one does not: they are logged all the same.
 */
export function readOutboxEntry(row: OutboxEntry): LogEntry | { refused: string } {
  const event = parseCanonical(row.entry)
  if (event === undefined) return { refused: 'It is not canonical JSON of an object.' }
  const { v, id, organizationId, at, type, severity } = event
  if (v !== 1) return { refused: 'It is not an event of version 1.' }
  if (id !== row.eventId || organizationId !== row.organizationId) {
    return { refused: 'It names another event or organization than its row.' }
  }
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0 || at > MAX_DATE_MS) {
    return { refused: 'It has no time.' }
  }
  if (!isLabel(type) || !isLabel(severity)) return { refused: 'It has no type or no severity.' }
  const actor = toMembers(event.actor)
  const isOfDevice = actor.type === 'device' || actor.type === 'coordinator'
  const deviceId = toUuid(toMembers(event.subject).deviceId) ?? (isOfDevice ? toUuid(actor.id) : undefined)
  return { ...row, at, type, severity, actorId: toUuid(actor.id), deviceId }
}

/** What both ECMAScript and PostgreSQL can say. */
const MAX_DATE_MS = 8_640_000_000_000_000

function parseCanonical(entry: string): Members | undefined {
  try {
    const value = JSON.parse(entry) as Json
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return canonicalJson(value) === entry ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ProtocolError) return undefined
    throw error
  }
}

function toMembers(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}

function toUuid(value: Json | undefined): string | undefined {
  return typeof value === 'string' && isUuid(value) ? value : undefined
}

function isLabel(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[a-z0-9_.]{1,64}$/.test(value)
}
