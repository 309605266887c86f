import type { Registry } from 'prom-client'
import type { Route } from '../route.ts'
import type { Readiness } from '../services/readiness.ts'

/** For the machine itself: health, version and metrics. */
export function operationRoutes(parts: { readiness: Readiness; registry: Registry; version: object }): Route[] {
  return [
    {
      method: 'get',
      path: '/live',
      access: 'machine',
      answer: async () => ({ status: 200, body: { status: 'live' } }),
    },
    {
      method: 'get',
      path: '/ready',
      access: 'machine',
      async answer() {
        const { isReady, checks } = await parts.readiness.check()
        return { status: isReady ? 200 : 503, body: { status: isReady ? 'ready' : 'not_ready', checks } }
      },
    },
    {
      method: 'get',
      path: '/version',
      access: 'machine',
      answer: async () => ({ status: 200, body: parts.version }),
    },
    {
      method: 'get',
      path: '/metrics',
      access: 'machine',
      async answer() {
        const headers = { 'content-type': parts.registry.contentType }
        return { status: 200, headers, body: await parts.registry.metrics() }
      },
    },
  ]
}
