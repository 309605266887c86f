import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { WriterStep } from '../../workers/sequencer/log-writer.ts'
import { type LogState, type LogUnderTest, makeLogUnderTest } from './log-under-test.ts'

// Each kill is of a process of its own.
vi.setConfig({ testTimeout: 180_000 })

const steps: WriterStep[] = ['taken', 'appended', 'signed', 'committed', 'written', 'published']
/** How many events the killed batch finds: less than one, one, and more than one batch, over the edges of tiles. */
const waiting = [1, 2, 255, 256, 257, 300]
const program = fileURLToPath(new URL('write-log.ts', import.meta.url))

/** The writer, in a process that kills itself at the step that comes after `before` others of its name. */
async function killAt(log: LogUnderTest, step: WriterStep, before: number): Promise<void> {
  const child = spawn(process.execPath, [program, JSON.stringify(log.place), `${step} ${before}`])
  const said = text(child.stderr)
  const [, signal] = await once(child, 'exit')
  expect(signal, await said).toBe('SIGKILL')
}

async function makeLogOf(size: number): Promise<LogUnderTest> {
  const log = await makeLogUnderTest()
  onTestFinished(() => log.close())
  const { sequence } = await log.open()
  for (let left = size; left > 0; left -= 10_000) await log.tell(Math.min(left, 10_000))
  await sequence()
  expect(await log.state()).toEqual({ size, published: size, checkpoint: size, outbox: 0 })
  return log
}

/** What the kill left behind shows that it was at this step, and not before or after it. */
async function expectKilledAt(log: LogUnderTest, step: WriterStep, size: number, found: number): Promise<void> {
  const grown = size + Math.min(found, 256)
  const done = steps.indexOf(step)
  const expected: LogState = {
    size: done >= steps.indexOf('appended') ? grown : size,
    checkpoint: done >= steps.indexOf('committed') ? grown : size,
    published: done >= steps.indexOf('published') ? grown : size,
    outbox: found - (done >= steps.indexOf('appended') ? grown - size : 0),
  }
  expect(await log.state()).toEqual(expected)
  expect(log.signed().at(-1)?.size).toBe(done >= steps.indexOf('signed') ? grown : size)
  expect(await log.sizeInFile()).toBe(done >= steps.indexOf('written') ? grown : size)
}

/** One kill in a batch of a log of `size`, whose new size this answers; what was taken meets an event that comes before it now. */
async function killInBatch(log: LogUnderTest, step: WriterStep, size: number, found: number): Promise<number> {
  const late = await log.tellLate()
  await log.tell(found)
  // Opening publishes once.
  await killAt(log, step, ['taken', 'appended'].includes(step) ? 0 : 1)
  await expectKilledAt(log, step, size, found)
  await late.commit()
  const next = await log.open()
  await next.sequence()
  expect(await log.state()).toMatchObject({ published: size + found + 1, outbox: 0 })
  return size + found + 1
}

describe.each([0, 1, 255, 256, 257])('a log of %i entries', (size) => {
  test.each(steps)('goes on as one tree after a kill -9 of its sequencer when a batch was %s', async (step) => {
    const log = await makeLogOf(size)
    const grown = await killInBatch(log, step, size, waiting[steps.indexOf(step)] as number)
    expect(await log.check()).toBe(grown)
  })
})

test('a log that grows from two levels of tiles to three goes on as one tree after kills at every step', async () => {
  let size = 256 ** 2 - 1
  const log = await makeLogOf(size)
  for (const [at, step] of steps.entries()) size = await killInBatch(log, step, size, waiting[at] as number)
  expect(await log.check()).toBe(size)
})

test.each(['signed', 'committed', 'written', 'published'] as const)(
  'a sequencer that is killed again and again when its opening was %s signs one tree',
  async (step) => {
    const log = await makeLogOf(3)
    await log.tell(300)
    await killAt(log, 'appended', 0)
    for (let kills = 0; kills < 2; kills++) await killAt(log, step, 0)
    await log.open().then(({ sequence }) => sequence())
    expect(await log.check()).toBe(303)
    expect(new Set(log.signed().map((head) => head.size))).toEqual(new Set([0, 3, 259, 303]))
  },
)
