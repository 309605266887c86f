import { expect, onTestFinished } from 'vitest'
import { type Answer, call } from './api.ts'
import { expectRefusal } from './refusals.ts'
import { startTestService, type TestService } from './service.ts'

/** Off are the limits that are not given; the test is a trusted proxy, so that it has many addresses. */
export async function startLimited(options: Parameters<typeof startTestService>[0]): Promise<TestService> {
  const service = await startTestService({ trustProxy: ['127.0.0.1'], ...options })
  onTestFinished(() => service.close())
  return service
}

/** As the proxy says it. */
export const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })

export function expectLimited(answer: Answer, limit: number, detail: RegExp): void {
  expectRefusal(answer, 429, 'rate_limited')
  expect(answer.body.detail).toMatch(detail)
  expect(limitHeaders(answer)).toEqual([limit, 0])
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  expect(answer.headers.get('ratelimit-reset')).toBe(answer.headers.get('retry-after'))
}

/** Limit and remaining. */
export function limitHeaders({ headers }: Answer): (number | undefined)[] {
  return ['ratelimit-limit', 'ratelimit-remaining'].map((name) =>
    headers.has(name) ? Number(headers.get(name)) : undefined,
  )
}

/** How many were answered 429 for this limit. */
export async function limitedCount(service: TestService, limit: string): Promise<number> {
  const { body } = await call(service, 'GET', '/metrics')
  return Number(new RegExp(`^qflare_rate_limited_total\\{limit="${limit}"\\} (\\d+)$`, 'm').exec(body)?.[1] ?? 0)
}
