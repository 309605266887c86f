import { Gauge, Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createMetrics } from '../../../runtime/metrics.ts'
import { observeTogether } from '../../../runtime/observe-together.ts'

let warnings: string[]
const logger = { warn: (message: string) => void warnings.push(message) }

beforeEach(() => {
  warnings = []
})
afterEach(() => void vi.useRealTimers())

/** Two gauges of one look, and one that nobody looks for. */
function openGauges(look: () => Promise<number>, keepMs?: number) {
  const registry = new Registry()
  const registers = [registry]
  const plain = new Gauge({ name: 'plain', help: 'h', registers })
  const labelled = new Gauge({ name: 'labelled', help: 'h', labelNames: ['state'], registers })
  new Gauge({ name: 'other', help: 'h', registers }).set(5)
  const show = (found: number) => {
    plain.set(found)
    labelled.set({ state: `of ${found}` }, found)
  }
  observeTogether({ gauges: [plain, labelled], look, show, name: 'things', logger, ...(keepMs && { keepMs }) })
  return async () => (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

test('one look serves all gauges of a request, and what the look before found is gone', async () => {
  let looks = 0
  const read = openGauges(async () => ++looks)
  expect(await read()).toEqual(['plain 1', 'labelled{state="of 1"} 1', 'other 5'])
  expect(await read()).toEqual(['plain 2', 'labelled{state="of 2"} 2', 'other 5'])
})

test('what was found is shown again for as long as it is kept, and no longer', async () => {
  vi.useFakeTimers()
  let looks = 0
  const read = openGauges(async () => ++looks, 60_000)
  expect(await read()).toContain('plain 1')
  vi.advanceTimersByTime(59_999)
  expect(await read()).toContain('plain 1')
  vi.advanceTimersByTime(1)
  expect(await read()).toContain('plain 2')
})

test('a look that fails leaves no value, not the old one and not 0, keeps no other metric back, and is told once', async () => {
  let error: Error | undefined
  const read = openGauges(async () => {
    if (error !== undefined) throw error
    return 1
  })
  await read()
  error = new Error('The database is away.')
  for (let time = 0; time < 3; time++) expect(await read()).toEqual(['other 5'])
  expect(warnings).toEqual(['metrics cannot be read: things: The database is away.'])
  error = undefined
  expect(await read()).toContain('plain 1')
})

test('a look that takes too long is not waited for, is not begun twice, and is shown to who asks when it has ended', async () => {
  vi.useFakeTimers()
  const begun: PromiseWithResolvers<number>[] = []
  const read = openGauges(() => {
    begun.push(Promise.withResolvers<number>())
    return (begun.at(-1) as PromiseWithResolvers<number>).promise
  }, 10_000)
  const ask = async () => {
    const asked = read()
    await vi.advanceTimersByTimeAsync(5_000)
    return asked
  }
  expect(await ask()).toEqual(['other 5'])
  expect(await ask()).toEqual(['other 5'])
  expect(begun).toHaveLength(1)
  begun[0]?.resolve(7)
  await vi.advanceTimersByTimeAsync(0)
  expect(await ask()).toContain('plain 7')
  expect(begun).toHaveLength(1)
})

test('a gauge that a process does not set is not shown by it', async () => {
  const text = await createMetrics().registry.metrics()
  const values = text
    .split('\n')
    .filter((line) => line.startsWith('qflare_') && !/_(bucket|sum|count|total)\b/.test(line))
  expect(values).toEqual([])
})
