import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { openLocalDatabase } from '../../operations/local-database.ts'
import { openCustody } from '../../operations/open-custody.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import { listTemporalHomes } from '../../runtime/temporal/temporal-key-folder.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { type Canary, createByteSearch } from '../support/byte-search.ts'
import type { Secret } from '../support/find-secrets.ts'
import { learnKeys, type StolenParts, waitForCaches } from '../support/forgetting.ts'
import { establishKnownSession } from '../support/known-session.ts'
import { whyUnreadable } from '../support/process-memory.ts'
import { searchMemory } from '../support/search-places.ts'
import { crypto, type TestService } from '../support/service.ts'
import {
  makeServiceFolder,
  readAdminToken,
  removeServiceFolder,
  type ServiceProcess,
  spawnService,
} from '../support/service-process.ts'
import { recordWireSecrets } from '../support/service-secrets.ts'

/** What is left when an epoch is over: tests/integration/forgetting.test.ts. Here it is now, and its keys are there. */

// A process of its own, and all of its memory read.
vi.setConfig({ testTimeout: 300_000 })

const DEVICES = 5
const EXCHANGES_OF_EACH = 20

async function withCustody<T>(folder: string, use: (parts: StolenParts) => Promise<T>): Promise<T> {
  const env = { QFLARE_DATA_DIR: folder }
  const config = loadConfig(env)
  await using local = await openLocalDatabase(config, 'current', () => {})
  const { serviceKeys } = await openCustody({ database: local.database, crypto, env, config })
  const [home] = await listTemporalHomes(config.dataDirectory)
  if (home === undefined) throw new Error('there is no folder of temporal keys')
  const store = await openFileTemporalKeyStore(home)
  return await use({ database: local.database, store, keyring: serviceKeys.keyring })
}

/** What is live on the heap of V8, with its texts; without what lies outside of it, as the bytes of a Buffer. */
async function takeHeapSnapshot(folder: string, service: ServiceProcess, api: TestService): Promise<Buffer> {
  service.kill('SIGUSR2')
  const name = await vi.waitFor(
    async () => {
      const found = (await readdir(folder)).find((each) => each.endsWith('.heapsnapshot'))
      if (found === undefined) throw new Error('there is no snapshot yet')
      return found
    },
    { timeout: 60_000, interval: 50 },
  )
  // It is written in one piece, and nothing is answered meanwhile.
  await call(api, 'GET', '/live')
  return readFile(join(folder, name))
}

test('of a hundred exchanges a service at work keeps the keys that are alive, and of what made them nothing', async ({
  skip,
}) => {
  const folder = await makeServiceFolder()
  onTestFinished(() => removeServiceFolder(folder))
  const planted = randomBytes(128)
  const service = spawnService(folder, {
    NODE_OPTIONS: `--import ./tests/support/planted-secret.ts --heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}`,
    TEST_PLANTED_COMPLEMENT: Buffer.from(planted.map((byte) => byte ^ 0xff)).toString('hex'),
    QFLARE_CRYPTO: 'native',
    QFLARE_LIMIT_DEVICE: '0',
  })
  const url = await service.ready()
  const why = whyUnreadable(service.processId)
  skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
  const api = { url, adminToken: await readAdminToken(folder) } as TestService

  const sent: Secret[] = []
  vi.stubGlobal('fetch', recordWireSecrets(fetch, sent, {}))
  onTestFinished(() => void vi.unstubAllGlobals())
  const secrets: Canary[] = []
  let epoch = 0
  for (let devices = 0; devices < DEVICES; devices++) {
    const device = await enrollTestDevice(api)
    for (let exchanges = 0; exchanges < EXCHANGES_OF_EACH; exchanges++) {
      const session = await establishKnownSession(api, device)
      secrets.push(...session.secrets)
      epoch = session.epoch
    }
  }
  const { canaries: alive } = await withCustody(folder, (parts) => learnKeys(parts, epoch))
  const onTheWire = sent.flatMap(({ what, value }) => (typeof value === 'string' ? [] : [{ what, bytes: value }]))
  const plants = [0, 1, 2, 3].map((at) => ({ what: `planted ${at}`, bytes: planted.subarray(at * 32, at * 32 + 32) }))
  expect(secrets.length).toBe(6 * DEVICES * EXCHANGES_OF_EACH)
  expect(onTheWire.map(({ what }) => what.split(' ')[0])).toEqual(
    expect.arrayContaining(['token', 'challenge', 'confirmation', 'proof', 'accessToken', 'credentials']),
  )
  await waitForCaches(api)

  const inPlace = ['planted 0 (raw)', 'planted 1 (hex)', 'planted 2 (base64)', 'planted 3 (hex)']
  const inMemory = searchMemory(service.processId, [...secrets, ...alive, ...plants])
  expect(inMemory.found()).toEqual(['bucket key (raw)', 'epoch key (raw)', ...inPlace])

  const search = createByteSearch([...secrets, ...onTheWire, ...alive, ...plants])
  search.push(await takeHeapSnapshot(folder, service, api))
  expect(search.found()).toEqual(inPlace.slice(1))
})
