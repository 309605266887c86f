import { canonicalJson, fromBase64url, type Json, toBase64url } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { type CheckpointKeys, type VerifiedCheckpoint, verifyCheckpoint } from './checkpoint.ts'
import { createFrontier, type Frontier } from './frontier.ts'
import { HASH_BYTES, leafHash, verifyConsistency } from './merkle.ts'

/** The first line of an export: which part of which log, and the tree before it (docs/protocol.md §7). */
export interface ExportHeader {
  origin: string
  /** Entries `from` up to, not including, `to`. */
  from: number
  to: number
  /** 32 bytes each: the perfect subtrees of the entries before `from`. */
  frontier: readonly Uint8Array[]
}

export function formatExportHeader({ origin, from, to, frontier }: ExportHeader): string {
  return JSON.stringify({ v: 1, origin, from, to, frontier: frontier.map(toBase64url) })
}

/** `entry`: the event's canonical JSON; undefined where the reader may not see it, or its body is gone. */
export function formatExportEntry(index: number, entry: string | undefined, leaf: Uint8Array): string {
  const event = entry === undefined ? '' : `"event":${entry},`
  return `{"index":${index},${event}"leafHash":"${toBase64url(leaf)}"}`
}

/** `consistency`: from `to` to the checkpoint's size; undefined where they are one. */
export function formatExportEnd(checkpoint: string, consistency: readonly Uint8Array[] | undefined): string {
  return JSON.stringify({ checkpoint, ...(consistency && { consistency: consistency.map(toBase64url) }) })
}

export interface ExportReport {
  origin: string | undefined
  from: number
  to: number
  /** Entries that were there in full, and those of which the hash alone was. */
  events: number
  hashesOnly: number
  /** Undefined when everything is what the log signed. `index`: of the first entry at fault, where one can be named. */
  problem: { index: number | undefined; reason: string } | undefined
  checkpoint: VerifiedCheckpoint | undefined
}

/** Takes an export line by line; what it finds is in the report. */
export interface ExportVerifier {
  /** Attacker-controlled input. `onEvent` of the verifier is called for each event that is what its leaf hash says. */
  push(line: string): void
  finish(): ExportReport
  /** Of the entries: how many there should be is known from the first line on. */
  progress(): { done: number; total: number | undefined }
}

type Event = { [key: string]: Json }

export function createExportVerifier(
  crypto: Primitives,
  keys: CheckpointKeys,
  onEvent: (index: number, event: Event) => void = () => {},
): ExportVerifier {
  const utf8 = new TextEncoder()
  let header: ExportHeader | undefined
  let frontier: Frontier | undefined
  const report: ExportReport = {
    origin: undefined,
    from: 0,
    to: 0,
    events: 0,
    hashesOnly: 0,
    problem: undefined,
    checkpoint: undefined,
  }
  /** After a line that does not belong where it stands, nothing can be said of the rest. */
  let isBroken = false

  function fail(index: number | undefined, reason: string): void {
    report.problem ??= { index, reason }
    isBroken = true
  }

  function takeEntry(line: string, tree: Frontier): void {
    const index = tree.size()
    const parsed = parseObject(line)
    const given = parseLeafHash(parsed)
    const { event } = parsed
    if (parsed.index !== index) return fail(index, `Entry ${index} is missing or not in its place.`)
    if (event === undefined) {
      if (given === undefined || formatExportEntry(index, undefined, given) !== line) {
        return fail(index, `The line of entry ${index} is not one of an export.`)
      }
      report.hashesOnly += 1
      return tree.append(given)
    }
    const entry = canonicalJson(event)
    const leaf = leafHash(crypto, utf8.encode(entry))
    // The line as a person reads it is what was hashed: no second member of a name, no other spelling.
    const isAsWritten =
      line === formatExportEntry(index, entry, given ?? leaf) || line === `{"index":${index},"event":${entry}}`
    if (!isAsWritten) return fail(index, `The line of entry ${index} is not written as its event was hashed.`)
    report.events += 1
    tree.append(given ?? leaf)
    const isIntact = given === undefined || crypto.equal(leaf, given)
    // A server that lacks an event that it should have writes null in its place.
    if (isIntact && isObject(event)) onEvent(index, event)
    else report.problem ??= { index, reason: `Entry ${index} is not the one that was logged.` }
  }

  function takeEnd(line: string, tree: Frontier, { origin, to }: ExportHeader): void {
    const { checkpoint, consistency } = parseObject(line)
    if (typeof checkpoint !== 'string') return fail(undefined, 'The export does not end with a checkpoint.')
    const verified = verifyCheckpoint(crypto, checkpoint, keys)
    const hashes = consistency === undefined ? undefined : parseHashes(consistency)
    if (formatExportEnd(checkpoint, hashes) !== line) return fail(undefined, 'The last line is not one of an export.')
    if (verified.origin !== origin)
      return fail(undefined, `The export is of ${origin}, its checkpoint of ${verified.origin}.`)
    report.checkpoint = verified
    try {
      verifyConsistency(crypto, { size: to, root: tree.root() }, verified, hashes ?? [])
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      report.problem ??= {
        index: undefined,
        reason: `At least one entry before ${to} is not what the checkpoint was signed over.`,
      }
    }
  }

  function take(line: string): void {
    if (header === undefined) {
      header = parseHeader(line)
      if (formatExportHeader(header) !== line) return fail(undefined, 'The first line is not one of an export.')
      Object.assign(report, { origin: header.origin, from: header.from, to: header.to })
      frontier = createFrontier(crypto, header.from, header.frontier)
    } else if (frontier !== undefined && frontier.size() < header.to) takeEntry(line, frontier)
    else if (frontier !== undefined && report.checkpoint === undefined) takeEnd(line, frontier, header)
    else fail(undefined, 'The export goes on behind its checkpoint.')
  }

  return {
    push(line) {
      if (isBroken) return
      try {
        take(line)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        const isEntry = header !== undefined && frontier !== undefined && frontier.size() < header.to
        fail(isEntry ? frontier?.size() : undefined, error.message)
      }
    },
    finish() {
      if (!isBroken && report.checkpoint === undefined) {
        const index = header === undefined || frontier === undefined ? undefined : frontier.size()
        fail(index === header?.to ? undefined : index, 'The export ends too early.')
      }
      return report
    },
    progress: () =>
      header === undefined || frontier === undefined
        ? { done: 0, total: undefined }
        : { done: frontier.size() - header.from, total: header.to - header.from },
  }
}

function parseHeader(line: string): ExportHeader {
  const { v, origin, from, to, frontier } = parseObject(line)
  if (v !== 1 || typeof origin !== 'string' || !isIndex(from) || !isIndex(to) || from > to) {
    throw new ProtocolError('log_invalid', 'The first line is not that of an export of version 1.')
  }
  return { origin, from, to, frontier: parseHashes(frontier) }
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function parseObject(line: string): Event {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'A line of the export is not JSON.', { cause })
  }
  if (isObject(value)) return value
  throw new ProtocolError('log_invalid', 'A line of the export is not a JSON object.')
}

function isObject(value: unknown): value is Event {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseLeafHash({ leafHash: text }: Event): Uint8Array | undefined {
  if (text === undefined) return undefined
  return parseHashes([text])[0]
}

function parseHashes(values: Json | undefined): Uint8Array[] {
  const isList = Array.isArray(values) && values.every((value): value is string => typeof value === 'string')
  if (!isList) throw new ProtocolError('log_invalid', 'A hash of the export is not one.')
  return values.map((text) => fromBase64url(text, HASH_BYTES))
}
