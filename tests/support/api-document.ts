import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { describeApi, type OpenApiDocument } from '../../server/openapi.ts'
import type { Route } from '../../server/route.ts'
import { listRoutes, type RouteParts } from '../../server/routes.ts'

/** What the routes say of themselves; nothing stands behind them, so that none of them can be called. */
export function listDescribedRoutes(): Route[] {
  const parts = { crypto: createNativePrimitives(), metrics: createMetrics(), publishedKeys: {}, version: '0.0.0-test' }
  return listRoutes(parts as unknown as RouteParts)
}

export function getApiDocument(): OpenApiDocument {
  return describeApi(listDescribedRoutes(), '0.0.0-test')
}
