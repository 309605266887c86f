import { expect, type TestContext, test, vi } from 'vitest'
import { cuts, openCuttingNetwork } from './cutting-network.ts'
import { openAsSequencer } from './log-place.ts'
import { makeLogUnderTest } from './log-under-test.ts'
import { runSequencer } from './run-sequencer.ts'

// What failed-commits.test.ts says to the sequencer, here a broken network does: nobody knows what is stored.
vi.setConfig({ testTimeout: 180_000, maxConcurrency: 6 })

const ANSWER_WITHIN_MS = 1_500

async function start({ onTestFinished }: TestContext) {
  const log = await makeLogUnderTest()
  const network = await openCuttingNetwork(log.place.login)
  const database = openAsSequencer(network.connection, ANSWER_WITHIN_MS)
  const sequencer = await runSequencer(log.place, database, network.connection)
  onTestFinished(async () => {
    await sequencer.close()
    await database.close()
    await network.close()
    await log.close()
  })
  return { log, network }
}

const statements = ['advance_log', 'insert_checkpoint', 'publish_checkpoint']
const cases = statements.flatMap((statement) => cuts.map((at) => ({ statement, at })))

test.concurrent.for(cases)(
  'a connection that breaks $at $statement leaves one tree with every event once',
  async ({ statement, at }, context) => {
    const { log, network } = await start(context)
    for (const isEverything of [false, true]) {
      const isCut = network.cut(statement, at, isEverything)
      const late = await log.tellLate()
      await log.tell(isEverything ? 300 : 2)
      await isCut
      await late.commit()
      await log.untilPublished(60_000)
    }
    expect(await log.check()).toBe(log.told.size)
    expect(await log.sizeInFile()).toBe(log.told.size)
  },
)

test.concurrent.for(cuts)(
  'a connection that breaks %s the opening leaves one tree with every event once',
  async (at, context) => {
    const { log, network } = await start(context)
    const late = await log.tellLate()
    await log.tell(3)
    const isCut = network.cut('advance_log', 'at the answer to', true)
    await isCut
    const isCutAgain = network.cut('epoch + 1', at)
    await isCutAgain
    await late.commit()
    await log.untilPublished(60_000)
    expect(await log.check()).toBe(log.told.size)
  },
)
