import { HASH_BYTES } from '../protocol/log/merkle.ts'
import { type TilePlace, tilePath } from '../protocol/log/tiles.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type AuditKeys, fetchAuditKeys } from './audit-keys.ts'
import {
  type ConsistencyProof,
  consistencyAnswer,
  type IndexedEvent,
  indexedEvent,
  type LoggedEvent,
} from './auditor-answers.ts'
import { QflareError } from './errors.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import type { RequestOptions } from './http-request.ts'
import { allPages, type Page, type PageQuery, pageOf, toQuery } from './pages.ts'
import { readLines } from './read-lines.ts'

export type { AuditKeys, ConsistencyProof, IndexedEvent, LoggedEvent }

/** What is given must all hold. */
export interface EventFilter {
  /** As in docs/audit-events.md. */
  type?: string | undefined
  severity?: string | undefined
  /** The id of who did it. */
  actor?: string | undefined
  /** The id of the device that it is about. */
  device?: string | undefined
  /** Milliseconds since the Unix epoch; `to` itself is outside. */
  from?: number | undefined
  to?: number | undefined
  /** Default: newest. */
  order?: 'newest' | 'oldest' | undefined
}

/** 200 events of 65,535 bytes. */
const MAX_EVENTS_BYTES = 16 << 20
const TEXT = 'text/plain'

/**
 * The auditor's calls (docs/api.md). Nothing that comes back is verified here: `protocol/log` does that, and docs/auditing.md
 * shows it. Checkpoints, consistency proofs, tiles and keys are for anyone; the rest needs an API token of role auditor or admin.
 */
export class QflareAuditor {
  readonly #http: HttpClient
  readonly #options: { apiToken?: string | undefined; crypto?: Primitives | undefined }
  readonly #auth: RequestOptions

  constructor(http: HttpClient, options: { apiToken?: string | undefined; crypto?: Primitives | undefined } = {}) {
    this.#http = http
    this.#options = options
    this.#auth = { bearer: options.apiToken, maxAnswerBytes: MAX_EVENTS_BYTES }
  }

  /** The same, every call of which `signal` ends; they then reject with its reason. */
  withSignal(signal: AbortSignal): QflareAuditor {
    return new QflareAuditor(this.#http.withSignal(signal), this.#options)
  }

  /** The newest checkpoint, a signed note; `witnessed`: the newest that witnesses signed. `unavailable` before the first. */
  getCheckpoint({ witnessed = false }: { witnessed?: boolean } = {}): Promise<string> {
    return this.#getText(`/v1/audit/checkpoint${witnessed ? '?witnessed=true' : ''}`, { pastCaches: true })
  }

  /** Sizes of two trees; the published one where `to` is not given. */
  getConsistency(query: { from: number; to?: number | undefined }): Promise<ConsistencyProof> {
    return this.#http.get(`/v1/audit/consistency${toQuery(query)}`, consistencyAnswer)
  }

  /** The first `width` hashes of a tile, 32 bytes each. */
  async getTile(place: TilePlace, width: number): Promise<Uint8Array[]> {
    const bytes = await this.#http.getBytes(`/v1/audit/tile/${tilePath(place, width)}`, 'application/octet-stream')
    if (bytes.length !== width * HASH_BYTES) {
      throw new QflareError('bad_answer', `A tile of ${width} hashes has ${bytes.length} bytes.`)
    }
    return Array.from({ length: width }, (_, at) => bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES))
  }

  /** The keys that sign checkpoints, from the trust bundles. `pin`: the `kid` of the root key. Throws `trust_invalid`. */
  async fetchAuditKeys(options: { pin?: string | undefined } = {}): Promise<AuditKeys> {
    return fetchAuditKeys(this.#http, this.#options.crypto ?? (await choosePrimitives()), options)
  }

  /** Newest first, unless `order` says otherwise. A page goes on behind the index that its `cursor` is. */
  listEvents(query: PageQuery & EventFilter = {}): Promise<Page<IndexedEvent>> {
    return this.#http.get(`/v1/audit/events${toQuery(query)}`, pageOf(indexedEvent), this.#auth)
  }

  /** Every event that the filter lets through, page by page. */
  events(filter: EventFilter = {}): AsyncGenerator<IndexedEvent> {
    return allPages((page) => this.listEvents({ ...filter, ...page }))
  }

  getEvent(id: string): Promise<IndexedEvent> {
    return this.#http.get(`/v1/audit/events/${encodeURIComponent(id)}`, indexedEvent, this.#auth)
  }

  /** The text of a `c2sp.org/tlog-proof@v1`. */
  getEventProof(id: string): Promise<string> {
    return this.#getText(`/v1/audit/events/${encodeURIComponent(id)}/proof`, this.#auth)
  }

  /**
   * The lines of an export, as they come: entries `from` up to, not including, `to`, by default all that are published. To be
   * given to an `ExportVerifier`, or to a file. Throws `log_invalid` for a line that belongs to no export.
   */
  exportLines(range: { from?: number | undefined; to?: number | undefined } = {}): AsyncGenerator<string> {
    return readLines(this.#http.stream(`/v1/audit/export${toQuery(range)}`, 'application/x-ndjson', this.#auth))
  }

  async #getText(path: string, options: RequestOptions): Promise<string> {
    const bytes = await this.#http.getBytes(path, TEXT, options)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch (cause) {
      throw new QflareError('bad_answer', 'The answer is not UTF-8.', { cause })
    }
  }
}

/** Without an API token for what anyone may have. Throws `input_invalid`, `insecure_url`. */
export function openAuditor(
  options: HttpOptions & { apiToken?: string | undefined; crypto?: Primitives | undefined },
): QflareAuditor {
  const { apiToken, crypto, ...http } = options
  return new QflareAuditor(createHttpClient(http), { apiToken, crypto })
}
