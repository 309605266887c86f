import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** As OTLP's JSON has it, with its attributes as members. */
export interface CollectedSpan {
  process: string
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  name: string
  kind: number
  startedAt: bigint
  endedAt: bigint
  isFailed: boolean
  attributes: Record<string, unknown>
}

export interface TraceCollector {
  url: string
  readonly spans: CollectedSpan[]
  /** All that was sent, as it came. */
  readonly bodies: string[]
  answerWith(status: number): void
  /** What the span is a part of, and so on, the nearest first. */
  waysUp(span: CollectedSpan): CollectedSpan[]
}

interface Value {
  stringValue?: string
  intValue?: number | string
  boolValue?: boolean
  doubleValue?: number
}
type Attributes = { key: string; value: Value }[]
interface SentSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  status: { code?: number }
  attributes: Attributes
}
interface Sent {
  resourceSpans: { resource: { attributes: Attributes }; scopeSpans: { spans: SentSpan[] }[] }[]
}

const ERROR = 2

/** A collector of OTLP over HTTP on loopback, which keeps what it is sent. Gone at the end of the test. */
export async function startTraceCollector(): Promise<TraceCollector> {
  const spans: CollectedSpan[] = []
  const bodies: string[] = []
  let status = 200
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (status === 200) {
        const body = Buffer.concat(chunks).toString()
        bodies.push(body)
        spans.push(...readSpans(JSON.parse(body) as Sent))
      }
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  function waysUp({ parentSpanId }: CollectedSpan): CollectedSpan[] {
    const parent = spans.find(({ spanId }) => spanId === parentSpanId)
    return parent === undefined ? [] : [parent, ...waysUp(parent)]
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans,
    bodies,
    answerWith: (next) => void (status = next),
    waysUp,
  }
}

function readSpans({ resourceSpans }: Sent): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const process = String(toObject(resource.attributes)['service.name'])
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => toCollected(process, span)))
  })
}

function toCollected(process: string, span: SentSpan): CollectedSpan {
  const { traceId, spanId, parentSpanId, name, kind, startTimeUnixNano, endTimeUnixNano, status, attributes } = span
  return {
    process,
    traceId,
    spanId,
    parentSpanId: parentSpanId || undefined,
    name,
    kind,
    startedAt: BigInt(startTimeUnixNano),
    endedAt: BigInt(endTimeUnixNano),
    isFailed: status.code === ERROR,
    attributes: toObject(attributes),
  }
}

function toObject(attributes: Attributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0] as unknown]))
}
