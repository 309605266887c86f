import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Context,
  SpanKind as OtelKind,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from '../logger.ts'
import type { TracingSetting } from './setting.ts'
import { noTracer, type Span, type SpanAttributes, type SpanKind, type Tracer } from './tracer.ts'

export interface TracerParts {
  setting: TracingSetting | undefined
  version: string
  /** What this process does. */
  roles: readonly string[]
  logger: Pick<Logger, 'info' | 'warn'>
}

const kinds = { server: OtelKind.SERVER, client: OtelKind.CLIENT, internal: OtelKind.INTERNAL } satisfies Record<
  SpanKind,
  OtelKind
>

/** Spans that wait for the collector at most; more are lost. */
const MAX_WAITING = 8_192
const SEND_EVERY_MS = 1_000
const SEND_WITHIN_MS = 5_000

/**
 * The tracer of OpenTelemetry, which sends OTLP over HTTP; noTracer without a setting, and then nothing of the SDK is loaded. Nothing of
 * it is global: who traces has this tracer, and what runs in a span finds it by AsyncLocalStorage.
 */
export async function openTracer({ setting, version, roles, logger }: TracerParts): Promise<Tracer> {
  if (setting === undefined) return noTracer
  const [sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const exporter = tellOfFailures(new OTLPTraceExporter({ url: setting.url, timeoutMillis: SEND_WITHIN_MS }), logger)
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      'service.namespace': 'qflare',
      'service.name': `qflare-${roles.join('-')}`,
      'service.version': version,
      'process.pid': process.pid,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(setting.ratio) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter,
        maxQueueSize: MAX_WAITING,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_WITHIN_MS,
      }),
    ],
  })
  const tracer = provider.getTracer('qflare', version)
  const current = new AsyncLocalStorage<Context>()

  async function runIn<T>(span: OtelSpan, parent: Context, work: () => Promise<T>): Promise<T> {
    try {
      return await current.run(trace.setSpan(parent, span), work)
    } catch (error) {
      fail(span, error instanceof Error ? error.name : 'error')
      throw error
    } finally {
      span.end()
    }
  }

  return {
    begin(name, kind, work) {
      const span = tracer.startSpan(name, { kind: kinds[kind] }, ROOT_CONTEXT)
      return runIn(span, ROOT_CONTEXT, () => work(toSpan(span)))
    },
    step(kind, describe, work) {
      const parent = current.getStore()
      if (parent === undefined) return work()
      const [name, attributes] = describe()
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes: withValues(attributes) }, parent)
      return runIn(span, parent, work)
    },
    record(name, durationMs, attributes) {
      const parent = current.getStore()
      if (parent === undefined) return
      const startTime = Date.now() - durationMs
      tracer.startSpan(name, { startTime, attributes: withValues(attributes) }, parent).end()
    },
    close: () => provider.shutdown(),
  }
}

function toSpan(span: OtelSpan): Span {
  return {
    traceId: span.isRecording() ? span.spanContext().traceId : undefined,
    rename: (name) => void span.updateName(name),
    set: (attributes) => void span.setAttributes(withValues(attributes)),
    fail: (reason) => fail(span, reason),
  }
}

/** By its name alone: a message may hold what a client sent. */
function fail(span: OtelSpan, reason: string): void {
  span.setAttribute('error.type', reason)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

function withValues(attributes: SpanAttributes): Record<string, string | number | boolean> {
  const entries = Object.entries(attributes).filter(
    (entry): entry is [string, string | number | boolean] => entry[1] !== undefined,
  )
  return Object.fromEntries(entries)
}

/** Once when the collector does not take them, and once when it does again: the SDK throws them away and says nothing. */
function tellOfFailures(exporter: SpanExporter, logger: TracerParts['logger']): SpanExporter {
  let isFailing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const { error } = result
        if ((error !== undefined) !== isFailing) {
          isFailing = error !== undefined
          if (error === undefined) logger.info('traces are taken again')
          else logger.warn(`traces are lost, the collector does not take them: ${error.message}`)
        }
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  }
}
