import { z } from 'zod'
import { canonicalJson } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { EventFilter, IndexedEvent, QflareAuditor } from '../auditor.ts'

export interface KeyName {
  kind: 'bucket' | 'epoch'
  number: number
}

/** That a record of a key was destroyed, as the log proves it. */
export interface Destruction {
  eventId: string
  /** Of the event in the log, and of the tree whose root was signed. */
  index: number
  logSize: number
  signedAt: number
  /** When the event was written. */
  at: number
  type: string
  how: string
  /** Of an epoch: how many sessions had a chain under it when they were counted last; undefined when they were not. */
  sessions: number | undefined
  countedAt: number | undefined
  /** The event exactly as it was hashed, and its `c2sp.org/tlog-proof@v1`. */
  entry: string
  proof: string
}

/** One record of a key: a lost one has a successor in the next generation. */
export interface KeyRecord {
  generation: number
  /** SHA3-256 of the sealed record, base64url. */
  recordHash: string
  /** When the log says that it was made; undefined where it does not, as of one that was found after a crash. */
  madeAt: number | undefined
  /** Undefined: it is not destroyed. */
  destruction: Destruction | undefined
}

/** Epoch keys are made 15 epochs ahead, a restart or a clock that was wrong aside. */
const MADE_AHEAD_MS = 24 * BUCKET_MS
/** After its end a key is destroyed within a minute. Where the log does not say that it was made, nobody looks further than this. */
const LOOK_FOR_MS = 86_400_000

const subject = z.looseObject({ kind: z.string(), number: z.int(), generation: z.int().min(0) })
const data = z.looseObject({
  recordHash: z.string(),
  how: z.string().optional(),
  sessions: z.int().min(0).optional(),
  countedAt: z.int().min(0).optional(),
})

interface KeyEvent {
  indexed: IndexedEvent
  generation: number
  /** Generation and hash: what was lost before it was recorded may be made anew as the same generation. */
  record: string
  data: z.output<typeof data>
}

/**
 * What the log says of a key, record by record: empty where there was none. Every destruction is proven under `log`. Throws
 * `log_invalid` where it is not. That there are no other records is the server's word.
 */
export async function findForgottenKey(
  crypto: Primitives,
  auditor: QflareAuditor,
  log: readonly VerifierKey[],
  name: KeyName,
): Promise<KeyRecord[]> {
  const end = (name.number + 1) * BUCKET_MS
  const from = Math.max(0, end - MADE_AHEAD_MS)
  const made = byRecord(await listKeyEvents(auditor, name, { type: 'temporal_key.made', from, to: end + BUCKET_MS }))
  const missing = new Set(made.keys())
  const to = made.size === 0 ? end + LOOK_FOR_MS : undefined
  const destroyed = await listKeyEvents(auditor, name, { type: 'temporal_key.destroyed', from: end, to }, (found) => {
    missing.delete(found.record)
    return missing.size === 0 && made.size > 0
  })
  const unknown = await listKeyEvents(auditor, name, { type: 'temporal_key.unknown_destroyed', from })
  const ended = byRecord([...unknown, ...destroyed])
  const records: KeyRecord[] = []
  for (const record of new Set([...made.keys(), ...ended.keys()])) {
    const [begin, ending] = [made.get(record), ended.get(record)]
    const { generation, data } = (begin ?? ending) as KeyEvent
    const destruction = ending === undefined ? undefined : await prove(crypto, auditor, log, ending)
    records.push({ generation, recordHash: data.recordHash, madeAt: begin?.indexed.event.at, destruction })
  }
  return records.sort((a, b) => a.generation - b.generation)
}

/** The last event of each. */
function byRecord(events: readonly KeyEvent[]): Map<string, KeyEvent> {
  return new Map(events.map((event) => [event.record, event]))
}

/** The oldest first, until `isEnough` of one. */
async function listKeyEvents(
  auditor: QflareAuditor,
  name: KeyName,
  filter: EventFilter,
  isEnough: (event: KeyEvent) => boolean = () => false,
): Promise<KeyEvent[]> {
  const found: KeyEvent[] = []
  for await (const indexed of auditor.events({ ...filter, order: 'oldest' })) {
    const of = subject.safeParse(indexed.event.subject).data
    const says = data.safeParse(indexed.event.data).data
    if (of?.kind !== name.kind || of.number !== name.number || says === undefined) continue
    const event = { indexed, generation: of.generation, record: `${of.generation} ${says.recordHash}`, data: says }
    found.push(event)
    if (isEnough(event)) break
  }
  return found
}

async function prove(
  crypto: Primitives,
  auditor: QflareAuditor,
  log: readonly VerifierKey[],
  { indexed: { index, event }, data: { how = '', ...says } }: KeyEvent,
): Promise<Destruction> {
  const entry = canonicalJson(event)
  const proof = await auditor.getEventProof(event.id)
  const verified = verifyTlogProof(crypto, proof, new TextEncoder().encode(entry), { log })
  if (verified.index !== index) {
    throw new ProtocolError('log_invalid', `The server gave the proof of another event than ${event.id}.`)
  }
  return {
    eventId: event.id,
    index,
    logSize: verified.checkpoint.size,
    signedAt: verified.checkpoint.signedAt,
    at: event.at,
    type: event.type,
    how,
    sessions: says.sessions,
    countedAt: says.countedAt,
    entry,
    proof,
  }
}
