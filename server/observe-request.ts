import type { NextFunction, Request, Response } from 'express'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Tracer } from '../runtime/tracing/tracer.ts'
import { type Caller, logFieldsOf } from './caller.ts'

/** A line of the log, a measurement and a span for each request, when its answer is on its way or its client gone. */
export function observeRequest({ logger, metrics, tracer }: { logger: Logger; metrics: Metrics; tracer: Tracer }) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const startedAt = performance.now()
    void tracer.begin(req.method, 'server', async (span) => {
      await new Promise<void>((resolve) => {
        res.on('close', resolve)
        next()
      })
      if (res.locals.isTurnedAway === true) return span.rename(`${req.method} turned away`)
      const durationMs = performance.now() - startedAt
      const route = String(res.locals.route ?? 'none')
      const status = res.writableFinished ? String(res.statusCode) : 'aborted'
      metrics.httpRequestSeconds.observe({ route, method: req.method, status }, durationMs / 1000)
      const requestId = String(res.locals.requestId)
      logger.info('request', {
        requestId,
        traceId: span.traceId,
        method: req.method,
        route,
        status,
        ...logFieldsOf((res.locals.caller as Caller | undefined) ?? { type: 'anonymous' }),
        durationMs: Math.round(durationMs * 10) / 10,
      })
      span.rename(`${req.method} ${route}`)
      span.set({
        'http.request.method': req.method,
        'http.route': route,
        'http.response.status_code': res.statusCode,
        'qflare.request_id': requestId,
      })
      if (status === 'aborted' || res.statusCode >= 500) span.fail(status)
    })
  }
}
