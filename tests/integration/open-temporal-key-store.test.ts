import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openTemporalKeyStore } from '../../runtime/temporal/open-temporal-key-store.ts'
import { temporalKeyFolder } from '../../runtime/temporal/temporal-key-folder.ts'
import { hasRedis, startTestRedis } from '../support/redis.ts'

const name = { kind: 'epoch', number: bucketAt(Date.now()), generation: 0 } as const
const database = {
  api: 'postgresql://db',
  auditor: 'postgresql://db',
  worker: 'postgresql://db',
  sequencer: 'postgresql://db',
  queues: undefined,
  direct: undefined,
  migrator: 'postgresql://db',
}

/** A data folder with the keys of two roots of trust in files, `ours` and `other`. */
async function makeHomes(): Promise<{ dataDirectory: string; ours: string; other: string }> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-store-'))
  const folder = await temporalKeyFolder(dataDirectory)
  onTestFinished(async () => {
    for (const path of [dataDirectory, folder]) await rm(path, { recursive: true, force: true })
  })
  for (const root of ['ours', 'other']) {
    await mkdir(join(folder, root), { mode: 0o700, recursive: true })
    await writeFile(join(folder, root, `epoch-${name.number}-0`), 'sealed')
  }
  return { dataDirectory, ours: join(folder, 'ours'), other: join(folder, 'other') }
}

async function open(config: Parameters<typeof openTemporalKeyStore>[0]) {
  const stack = new AsyncDisposableStack()
  onTestFinished(() => stack.disposeAsync())
  return openTemporalKeyStore(config, 'ours', createLogger('silent'), stack)
}

describe.skipIf(!hasRedis)('with Redis', () => {
  test('keys in files of the same root of trust are destroyed, and those of another, which may run, are not', async () => {
    const redis = await startTestRedis()
    onTestFinished(() => redis.stop())
    const { dataDirectory, ours, other } = await makeHomes()
    const store = await open({ temporalRedisUrl: redis.url, dataDirectory, database })
    expect(store.isErasable).toBe(true)
    expect(await store.list()).toEqual([])
    expect([existsSync(ours), existsSync(other)]).toEqual([false, true])
    await store.makeOnce(name, new Uint8Array(93))
    expect(await redis.client.keys('*')).toEqual([`qflare:temporal:ours:epoch-${name.number}-0`])
    expect(existsSync(dirname(other))).toBe(true)
  })
})

test('without Redis the keys of this root of trust stay, and those of another go where nobody else can use them', async () => {
  const embedded = await makeHomes()
  const store = await open({ temporalRedisUrl: undefined, dataDirectory: embedded.dataDirectory, database: undefined })
  expect(await store.list()).toEqual([name])
  expect([existsSync(embedded.ours), existsSync(embedded.other)]).toEqual([true, false])
  const shared = await makeHomes()
  await open({ temporalRedisUrl: undefined, dataDirectory: shared.dataDirectory, database })
  expect([existsSync(shared.ours), existsSync(shared.other)]).toEqual([true, true])
})
