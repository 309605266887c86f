import { canonicalJson, isUuid, type Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'

type Members = { [key: string]: Json }

/** What an entry of the log says of itself, and what it is looked for by. */
export interface EntryFacts {
  eventId: string
  organizationId: string
  /** Milliseconds since the Unix epoch. */
  at: number
  type: string
  severity: string
  actorId: string | undefined
  /** The device that it is about, or that did it. */
  deviceId: string | undefined
}

/** The end of the year 9999: PostgreSQL does not read what ECMAScript writes of later ones. */
const MAX_DATE_MS = 253_402_300_799_999

/**
 * Attacker-controlled input: the facts of an entry, or why it is no event. A service of a newer release may know types that this
 * one does not: they are events all the same.
 */
export function readEntry(entry: string): EntryFacts | { refused: string } {
  const event = parseCanonical(entry)
  if (event === undefined) return { refused: 'It is not canonical JSON of an object.' }
  const { v, id, organizationId, at, type, severity } = event
  if (v !== 1) return { refused: 'It is not an event of version 1.' }
  if (!isId(id) || !isId(organizationId)) return { refused: 'It has no id or no organization.' }
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0 || at > MAX_DATE_MS) {
    return { refused: 'It has no time.' }
  }
  if (!isLabel(type) || !isLabel(severity)) return { refused: 'It has no type or no severity.' }
  const actor = toMembers(event.actor)
  const isOfDevice = actor.type === 'device' || actor.type === 'coordinator'
  const deviceId = toId(toMembers(event.subject).deviceId) ?? (isOfDevice ? toId(actor.id) : undefined)
  return { eventId: id, organizationId, at, type, severity, actorId: toId(actor.id), deviceId }
}

function parseCanonical(entry: string): Members | undefined {
  try {
    const value = JSON.parse(entry) as Json
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return canonicalJson(value) === entry ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ProtocolError || error instanceof RangeError) return undefined
    throw error
  }
}

function toMembers(value: Json | undefined): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}

function isId(value: Json | undefined): value is string {
  return typeof value === 'string' && isUuid(value)
}

function toId(value: Json | undefined): string | undefined {
  return isId(value) ? value : undefined
}

function isLabel(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[a-z0-9_.]{1,64}$/.test(value)
}
