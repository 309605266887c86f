/** What a span says beside its name: never a secret, never what a client sent. Undefined is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** One piece of a trace: what took how long, as part of what. */
export interface Span {
  /** 16 bytes as 32 hexadecimal digits; undefined when nobody records it. */
  readonly traceId: string | undefined
  rename(name: string): void
  set(attributes: SpanAttributes): void
  fail(reason: string): void
}

export type SpanKind = 'server' | 'client' | 'internal'

/** Where traces go. What is run in a span, however deep, becomes a part of it. */
export interface Tracer {
  /** Begins a trace. The span ends with the promise, and has failed when that is rejected. */
  begin<T>(name: string, kind: SpanKind, work: (span: Span) => Promise<T>): Promise<T>
  /** A step of the trace in which it is called; without one, `work` is run, and `describe` is not. */
  step<T>(
    kind: SpanKind,
    describe: () => [name: string, attributes: SpanAttributes],
    work: () => Promise<T>,
  ): Promise<T>
  /** A step that ends now, and took so many milliseconds. */
  record(name: string, durationMs: number, attributes: SpanAttributes): void
  /** Tells what has not been told yet, within a few seconds. */
  close(): Promise<void>
}

const noSpan: Span = { traceId: undefined, rename() {}, set() {}, fail() {} }

/** Runs everything, and tells nobody. */
export const noTracer: Tracer = {
  begin: (_name, _kind, work) => work(noSpan),
  step: (_kind, _describe, work) => work(),
  record() {},
  async close() {},
}
