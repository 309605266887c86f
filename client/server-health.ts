import { z } from 'zod'
import { QflareError } from './errors.ts'
import type { HttpClient } from './http.ts'

const health = z.looseObject({
  status: z.enum(['ready', 'not_ready']),
  checks: z.record(z.string().max(64), z.looseObject({ ok: z.boolean(), detail: z.string().max(2000).optional() })),
})

export interface ServerHealth {
  reachable: boolean
  /** Undefined: the server does not say so to this caller. */
  ready: boolean | undefined
  /** Of the parts that are not ready, and why. */
  failed: { part: string; detail: string }[]
  /** Why it is not reachable. */
  error: QflareError | undefined
}

/** Asks GET /ready, which many deployments answer on the machine itself only. Never throws for a server that is away. */
export async function readServerHealth(http: HttpClient): Promise<ServerHealth> {
  try {
    const { status, checks } = await http.get('/ready', health, { acceptStatus: 503 })
    const failed = Object.entries(checks).filter(([, check]) => !check.ok)
    return {
      reachable: true,
      ready: status === 'ready',
      failed: failed.map(([part, { detail = 'not ready' }]) => ({ part, detail })),
      error: undefined,
    }
  } catch (error) {
    if (!(error instanceof QflareError)) throw error
    const answered = error.status !== undefined && error.code !== 'bad_answer'
    return { reachable: answered, ready: undefined, failed: [], error: answered ? undefined : error }
  }
}
