import type { Registry } from 'prom-client'
import { z } from 'zod'
import type { Primitives } from '../../protocol/primitives.ts'
import { defineRoute, type Route } from '../route.ts'
import { checkNames, type Readiness } from '../services/readiness.ts'

const readinessJson = z
  .strictObject({
    status: z.enum(['ready', 'not_ready']),
    checks: z.partialRecord(z.enum(checkNames), z.strictObject({ ok: z.boolean(), detail: z.string().optional() })),
  })
  .meta({ id: 'Readiness' })

const versionJson = z.strictObject({
  name: z.literal('qflare'),
  version: z.string(),
  node: z.string(),
  openssl: z.string(),
  cryptoProvider: z.string(),
})

/** For the machine itself: health, version and metrics. */
export function operationRoutes(parts: {
  readiness: Readiness
  registry: Registry
  version: string
  crypto: Pick<Primitives, 'provider'>
}): Route[] {
  const { node, openssl } = process.versions
  const version = {
    name: 'qflare',
    version: parts.version,
    node,
    openssl,
    cryptoProvider: parts.crypto.provider,
  } as const
  return [
    defineRoute({
      method: 'get',
      path: '/live',
      access: 'machine',
      summary: 'Whether the process runs',
      answers: { 200: { description: 'It does.', body: z.strictObject({ status: z.literal('live') }) } },
      answer: async () => ({ status: 200, body: { status: 'live' } }),
    }),
    defineRoute({
      method: 'get',
      path: '/ready',
      access: 'machine',
      summary: 'Whether the service can take an exchange now',
      answers: {
        200: { description: 'It can.', body: readinessJson },
        503: { description: 'It cannot; the checks say why.', body: readinessJson },
      },
      async answer() {
        const { isReady, checks } = await parts.readiness.check()
        const body = { status: isReady ? 'ready' : 'not_ready', checks } as const
        return isReady ? { status: 200, body } : { status: 503, body }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/version',
      access: 'machine',
      summary: 'What runs here',
      answers: { 200: { description: 'Versions.', body: versionJson } },
      answer: async () => ({ status: 200, body: version }),
    }),
    defineRoute({
      method: 'get',
      path: '/metrics',
      access: 'machine',
      summary: 'Metrics for Prometheus',
      answers: { 200: { description: 'Text in the exposition format of Prometheus.', contentType: 'text/plain' } },
      async answer() {
        const headers = { 'content-type': parts.registry.contentType }
        return { status: 200, headers, body: await parts.registry.metrics() }
      },
    }),
  ]
}
