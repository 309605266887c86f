import { setTimeout as sleep } from 'node:timers/promises'
import { expect, type TestContext, test, vi } from 'vitest'
import { type Change, changes, type Lie, lies, withLies } from './faulty-database.ts'
import { type LogUnderTest, makeLogUnderTest } from './log-under-test.ts'
import { runSequencer } from './run-sequencer.ts'

// A sequencer that failed waits a moment, longer each time: the logs of these tests wait at once.
vi.setConfig({ testTimeout: 180_000, maxConcurrency: 6 })

async function start(
  { onTestFinished }: TestContext,
  decide: (change: Change) => Lie | undefined,
): Promise<LogUnderTest> {
  const log = await makeLogUnderTest()
  let isStarted = false
  const database = withLies(log.database.open('qflare_sequencer', 4), (change) =>
    isStarted ? decide(change) : undefined,
  )
  const sequencer = await runSequencer(log.place, database)
  onTestFinished(async () => {
    await sequencer.close()
    await database.settle()
    await log.close()
  })
  isStarted = true
  return log
}

async function expectOneTree(log: LogUnderTest): Promise<void> {
  expect(await log.check()).toBe(log.told.size)
  expect(await log.sizeInFile()).toBe(log.told.size)
}

const cases = changes.flatMap((change) => lies.map((lie) => ({ change, lie })))

test.concurrent.for(cases)(
  '$change that fails, but is $lie, leaves one tree with every event once',
  async ({ change, lie }, context) => {
    let left = 0
    let told = 0
    const log = await start(context, (name) => {
      // An opening goes wrong only behind something else that did.
      const isOpening = change === 'take_over' && left > 0 && name === 'advance_log'
      if (!isOpening && (name !== change || left <= 0)) return undefined
      if (!isOpening) left -= 1
      told += 1
      return isOpening ? 'lost' : lie
    })
    for (const count of [1, 300, 2]) {
      left = 1
      const late = await log.tellLate()
      await log.tell(count)
      while (left > 0) await sleep(10)
      await late.commit()
      await log.untilPublished(30_000)
    }
    expect(told).toBeGreaterThanOrEqual(3)
    await expectOneTree(log)
  },
)

test.concurrent.for([1, 2, 3, 4, 5, 6])(
  'commits that fail at random leave one tree with every event once: %i',
  async (_, context) => {
    let isOver = false
    const met = new Set<string>()
    const log = await start(context, (change) => {
      if (isOver || Math.random() > 0.12) return undefined
      const lie = lies[Math.floor(Math.random() * lies.length)] as Lie
      met.add(`${change} ${lie}`)
      return lie
    })
    // On a machine with other work until enough went wrong.
    const end = performance.now() + 12_000
    while (performance.now() < end || met.size < 4) {
      const late = await log.tellLate()
      await log.tell(1 + Math.floor(Math.random() * 30))
      await sleep(Math.random() * 100)
      await late.commit()
    }
    isOver = true
    await log.untilPublished(60_000)
    await expectOneTree(log)
  },
)
