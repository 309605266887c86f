import { existsSync } from 'node:fs'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { DatabaseError } from '../../database/errors.ts'
import { writeCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { type LogUnderTest, makeLogUnderTest } from './log-under-test.ts'
import { createSteppingSequencer, journey } from './stepping-sequencer.ts'

// The lock keeps a second sequencer away; what happens when it does not, because it broke unnoticed, is what these tests force.
vi.setConfig({ testTimeout: 120_000 })

async function makeLog(): Promise<LogUnderTest> {
  const log = await makeLogUnderTest()
  onTestFinished(() => log.close())
  await log.open()
  return log
}

async function countCheckpoints(log: LogUnderTest): Promise<number> {
  const { rows } = await log.database.sql.query<{ count: number }>(
    'select count(*)::int as count from audit_checkpoint',
  )
  return rows[0]?.count ?? 0
}

/** By the database, or by a file that knows more already. */
function isFenced(error: unknown): boolean {
  if (error instanceof DatabaseError) return error.code === 'condition_failed'
  return error instanceof Error && /this is no longer the sequencer/.test(error.message)
}

const places = journey.map((step, at) => ({ at: at + 1, name: `${at < 4 ? 'opening' : 'batch'} was ${step}` }))

test.each(places)(
  'a sequencer whose $name does nothing any more when another one has opened the log',
  async ({ at }) => {
    const log = await makeLog()
    const [first, second] = [1, 2].map(() => log.database.open('qflare_sequencer', 2))
    if (first === undefined || second === undefined) throw new Error('no databases')
    for (let reach = 1; reach <= journey.length; reach++) {
      await log.tell(2)
      const late = await log.tellLate()
      await log.tell(1)
      const older = createSteppingSequencer(log, first)
      await older.steps(at)
      await late.commit()
      await log.tell(1)
      const newer = createSteppingSequencer(log, second)
      await newer.steps(reach)
      await log.tell(1)
      const before = await log.state()
      const inFile = await log.sizeInFile()
      if (at === journey.length) await older.finish()
      else await expect(older.finish()).rejects.toSatisfy(isFenced)
      expect(await log.state()).toEqual(before)
      expect(await log.sizeInFile()).toBeGreaterThanOrEqual(inFile)
      await newer.finish()
      await createSteppingSequencer(log, second).finish()
      expect(await log.state()).toMatchObject({ outbox: 0, published: log.told.size })
      expect(await log.sizeInFile()).toBe(log.told.size)
    }
    expect(await log.check()).toBe(log.told.size)
    // It signs what it appended itself once more, or has just done so: `check` found the tree of that too, which is stored nowhere.
    const isLost = journey[at - 1] === 'signed' || journey[at - 1] === 'appended'
    expect(log.signed().length - (await countCheckpoints(log))).toBe(isLost ? journey.length : 0)
  },
)

test('three sequencers whose steps come in any order leave one tree, and the last to open it does not fail', async () => {
  const log = await makeLog()
  const databases = [1, 2, 3].map(() => log.database.open('qflare_sequencer', 2))
  const random = seeded(20_260_417)
  for (let round = 0; round < 30; round++) {
    await log.tell(1 + Math.floor(random() * 300))
    const late = await log.tellLate()
    await log.tell(1)
    const runners = databases.map((database, at) => ({ at, sequencer: createSteppingSequencer(log, database) }))
    const opened: number[] = []
    const failed: number[] = []
    for (let steps = 0, left = runners; left.length > 0; steps++) {
      const runner = left[Math.floor(random() * left.length)]
      if (runner === undefined) break
      if (!opened.includes(runner.at)) opened.push(runner.at)
      const isUnderWay = await runner.sequencer.step().catch((error: unknown) => {
        expect(error, `round ${round}`).toSatisfy(isFenced)
        failed.push(runner.at)
        return false
      })
      if (!isUnderWay) left = left.filter((other) => other !== runner)
      if (steps === 7) await late.commit()
      await log.sizeInFile()
    }
    expect(failed, `round ${round}`).not.toContain(opened.at(-1))
  }
  const last = await log.open()
  await last.sequence()
  expect(await log.check()).toBe(log.told.size)
})

test('two sequencers that take the log from each other again and again leave one tree', async () => {
  const log = await makeLog()
  const end = performance.now() + 4_000
  const isOver = () => performance.now() > end
  const fenced = [0, 0]
  const appended = [0, 0]
  async function write(who: 0 | 1): Promise<void> {
    const database = log.database.open('qflare_sequencer', 2)
    while (!isOver()) {
      try {
        const { writer } = await log.open({ database })
        while (!isOver()) {
          appended[who] = (appended[who] as number) + (await writer.append()).entries.length
          await writer.publish()
        }
      } catch (error) {
        if (!isFenced(error)) throw error
        fenced[who] = (fenced[who] as number) + 1
        await sleep(Math.random() * 60)
      }
    }
  }
  async function tell(): Promise<void> {
    while (!isOver()) {
      await log.tell(1 + Math.floor(Math.random() * 20))
      await sleep(5)
    }
  }
  async function watchFile(): Promise<void> {
    while (!isOver()) {
      await log.sizeInFile()
      await sleep(1)
    }
  }
  await Promise.all([write(0), write(1), tell(), watchFile()])
  expect(Math.min(...fenced)).toBeGreaterThan(3)
  expect(Math.min(...appended)).toBeGreaterThan(0)
  const last = await log.open()
  await last.sequence()
  expect(await log.check()).toBe(log.told.size)
  expect(await log.sizeInFile()).toBe(log.told.size)
})

describe('the checkpoint file', () => {
  test('that two write at once is always one of the two, whole', async () => {
    const log = await makeLog()
    const path = log.place.checkpointFile
    const texts = ['a', 'b'].map((letter) => letter.repeat(9_000))
    await writeCheckpointFile(path, texts[0] as string)
    let isOver = false
    const writers = texts.map(async (text) => {
      for (let times = 0; times < 150; times++) await writeCheckpointFile(path, text)
    })
    const torn: number[] = []
    const reader = (async () => {
      while (!isOver) {
        const found = await readFile(path, 'utf8')
        if (!texts.includes(found)) torn.push(found.length)
      }
    })()
    const outcomes = await Promise.allSettled(writers)
    isOver = true
    await reader
    expect(torn).toEqual([])
    expect(outcomes).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }])
    expect(await readdir(dirname(path))).not.toContainEqual(expect.stringContaining('.draft'))
  })

  test('that a kill left half written goes when the log is opened later, and not while it may be another’s', async () => {
    const log = await makeLog()
    const drafts = ['old', 'new'].map((name) => `${log.place.checkpointFile}.${name}.draft`)
    for (const draft of drafts) await writeFile(draft, 'test.example/audit\n1')
    const minutesAgo = Date.now() / 1000 - 120
    await utimes(drafts[0] as string, minutesAgo, minutesAgo)
    await log.open()
    expect(drafts.map((draft) => existsSync(draft))).toEqual([false, true])
  })
})

function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
