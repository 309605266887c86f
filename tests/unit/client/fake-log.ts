import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { toBase64url } from '../../../protocol/encoding.ts'
import { keyId } from '../../../protocol/key-id.ts'
import { type AuditEvent, auditEntry } from '../../../protocol/log/audit-event.ts'
import type { Primitives } from '../../../protocol/primitives.ts'
import { type TrustBundle, type TrustKey, trustBundle } from '../../../protocol/trust.ts'
import { type MemoryLog, makeMemoryLog, makeSigner, type Signer } from '../../support/memory-log.ts'
import { requestId } from './fake-answer.ts'
import { newSigner, signBundle, toTrustKey } from './fake-authority.ts'

export const LOG_ORIGIN = 'test.qflare/audit'
export const auditorToken = 'qf_0199b0a4-7e1c-7000-8000-00000000000b.secret'
export const deviceId = '0199b0a4-7e1c-7000-8000-000000000001'
export const tokenId = '0199b0a4-7e1c-7000-8000-0000000000aa'
const EVERY = 3

/** Of the event at this index. */
export function eventId(index: number): string {
  return `0199b0a4-7e1c-7000-9000-${String(index).padStart(12, '0')}`
}

/** Every third event is another organization's; each is a second after the one before. */
export function makeEvent(index: number): AuditEvent {
  return {
    id: eventId(index),
    at: 1_795_318_200_000 + index * 1000,
    organizationId: '0199b0a4-7e1c-7000-8000-00000000000c',
    actor: { type: 'api_token', id: tokenId },
    type: 'device.suspended',
    severity: 'notice',
    subject: { deviceId },
    data: { sessions: [] },
    requestId: '0199b0a4-7e1c-7000-8000-00000000000d',
  }
}

export function isForeign(index: number): boolean {
  return index % EVERY === EVERY - 1
}

export function makeEntries(count: number): string[] {
  return Array.from({ length: count }, (_, index) => auditEntry(makeEvent(index), Buffer.alloc(16, index % 251)))
}

export interface FakeAnswer {
  status?: number
  type: string
  body: string | Uint8Array
}

export interface FakeLog {
  url: string
  log: MemoryLog
  signers: Signer[]
  /** Of the first root key. */
  pin: string
  bundles: TrustBundle[]
  /** Every path that was asked for, with the token in front where there was one. */
  requests: string[]
  /** Another answer to a path that begins so; undefined: the right one. */
  tamper: ((path: string) => FakeAnswer | undefined) | undefined
  /** How many entries are published; tests move it. */
  published: number
  close(): Promise<void>
}

/** The audit endpoints of docs/api.md over a log in memory. */
export async function startFakeLog(
  crypto: Primitives,
  count: number,
  kinds: readonly Signer['by']['kind'][] = ['cosignature'],
): Promise<FakeLog> {
  const signers = kinds.map((kind) => makeSigner(crypto, kind, LOG_ORIGIN))
  const root = newSigner(crypto)
  const keys = signers.map(({ by }) => toAuditKey(crypto, by.key))
  const server = createServer((request, response) => answer(fake, request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const fake: FakeLog = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: makeMemoryLog(crypto, makeEntries(count), signers),
    signers,
    pin: root.kid,
    bundles: [signBundle(1, [toTrustKey(root, 'root'), ...keys], root)],
    requests: [],
    tamper: undefined,
    published: count,
    async close() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
  return fake
}

export function toAuditKey(crypto: Primitives, key: Signer['by']['key']): TrustKey {
  const validity = { notBefore: 0, notAfter: 4_102_444_800_000 }
  const kid = keyId(crypto, key.alg, key.publicKey)
  return { kid, alg: key.alg, publicKey: toBase64url(key.publicKey), use: 'audit', ...validity }
}

function answer(fake: FakeLog, request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? ''
  const token = request.headers.authorization?.replace('Bearer ', '')
  fake.requests.push(`${token === undefined ? '' : `${token} `}${path}`)
  const isOpen = /^\/v1\/(trust|audit\/(checkpoint|consistency|tile))/.test(path)
  const found =
    isOpen || token === auditorToken ? (fake.tamper?.(path) ?? rightAnswer(fake, path)) : refuse(401, 'unauthenticated')
  response.writeHead(found.status ?? 200, { 'Content-Type': found.type }).end(found.body)
}

export function refuse(status: number, code: string): FakeAnswer {
  const body = JSON.stringify({ title: code, status, detail: `Refused: ${code}.`, code, requestId })
  return { status, type: 'application/problem+json', body }
}

export function sendJson(value: unknown): FakeAnswer {
  return { type: 'application/json', body: JSON.stringify(value) }
}

const sendText = (body: string): FakeAnswer => ({ type: 'text/plain; charset=utf-8', body })

function rightAnswer(fake: FakeLog, path: string): FakeAnswer {
  const { log, published: size } = fake
  const { pathname, searchParams: query } = new URL(path, 'http://fake')
  const [, first = '', second = ''] = /^\/v1\/audit\/events\/([^/]+)(\/proof)?$/.exec(pathname) ?? []
  const tile = /^\/v1\/audit\/tile\/(.*)$/.exec(pathname)?.[1]
  const numberOf = (name: string, byDefault: number) => Number(query.get(name) ?? byDefault)
  if (pathname === '/v1/trust') {
    return sendJson({ items: fake.bundles.map((bundle) => z.encode(trustBundle, bundle)), nextCursor: null })
  }
  if (tile !== undefined) return { type: 'application/octet-stream', body: log.tile(tile) }
  if (pathname === '/v1/audit/checkpoint') {
    return query.has('witnessed') ? refuse(503, 'unavailable') : sendText(log.checkpoint(size))
  }
  if (pathname === '/v1/audit/consistency') {
    const [from, to] = [numberOf('from', 0), numberOf('to', size)]
    if (from > to || to > size) return refuse(400, 'malformed')
    return sendJson({ from, to, hashes: log.consistency(from, to).map(toBase64url) })
  }
  if (pathname === '/v1/audit/export') {
    const part = { from: numberOf('from', 0), to: numberOf('to', size), size, isHidden: isForeign }
    return { type: 'application/x-ndjson', body: `${log.exportLines(part).join('\n')}\n` }
  }
  if (pathname === '/v1/audit/events') return listEvents(fake, query)
  const index = fake.log.entries.findIndex((_, at) => at < size && eventId(at) === first && !isForeign(at))
  if (index < 0) return refuse(404, 'not_found')
  return second === '' ? sendJson(toItem(fake, index)) : sendText(log.proofText(index, size))
}

function toItem({ log }: FakeLog, index: number) {
  return { index, event: JSON.parse(log.entries[index] ?? '') as AuditEvent }
}

function listEvents(fake: FakeLog, query: URLSearchParams): FakeAnswer {
  const [limit, cursor] = [Number(query.get('limit') ?? 50), query.get('cursor')]
  const own = Array.from({ length: fake.published }, (_, index) => index).filter((index) => !isForeign(index))
  const isOldest = query.get('order') === 'oldest'
  const ordered = isOldest ? own : own.toReversed()
  const items = ordered
    .filter((index) => cursor === null || (isOldest ? index > Number(cursor) : index < Number(cursor)))
    .map((index) => toItem(fake, index))
    .filter(({ event }) => (query.get('severity') ?? event.severity) === event.severity)
  const page = items.slice(0, limit)
  return sendJson({ items: page, nextCursor: items.length > limit ? String(page.at(-1)?.index) : null })
}
