import { once } from 'node:events'
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDevice, type QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import {
  enrollClient,
  findPostmasters,
  makeServiceFolder,
  openAdmin,
  readAdminToken,
  removeServiceFolder,
  spawnService,
} from '../support/service-process.ts'

/** One data folder that every test but the last few starts on, as an operator would. */
let folder: string
const store = createMemoryStore()
let first: { adminToken: string; rootKey: string; trust: unknown; deviceId: string }

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

const getTrust = async (url: string): Promise<unknown> => (await call({ url }, 'GET', '/v1/trust')).body

/** A request that the service has begun to answer and whose body it still waits for, on a connection that stays open. */
async function beginRequest(url: string): Promise<{ finish(): Promise<[status: number | undefined, body: unknown]> }> {
  const body = JSON.stringify({ token: `${newId()}.x` })
  const headers = { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' }
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const sending = request(`${url}/v1/enrollments`, { method: 'POST', headers, agent })
  sending.on('error', () => undefined)
  sending.flushHeaders()
  await once(sending, 'continue')
  return {
    async finish() {
      sending.end(body)
      const [answer] = (await once(sending, 'response')) as [IncomingMessage]
      return [answer.statusCode, await json(answer)]
    },
  }
}

/** A connection that was made just before the port closed is reset. */
async function expectRefusedConnections(url: string): Promise<void> {
  await expect(fetch(`${url}/live`)).rejects.toMatchObject({
    cause: { code: expect.stringMatching(/^ECONN(REFUSED|RESET)$/) },
  })
}

test('the first start makes what it needs, says where it listens, and tells no secret', async () => {
  const service = spawnService(folder)
  const url = await service.ready()
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  for (const name of ['admin-token', 'root-key']) {
    expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600)
  }
  const adminToken = await readAdminToken(folder)
  const rootKey = (await readFile(join(folder, 'root-key'), 'utf8')).trim()
  const { token } = await (await openAdmin(url, folder)).createEnrollmentToken({ kind: 'device' })
  const device = await enrollDevice({ url, token, store, name: 'edge' })
  const { deviceId, session } = await device.exchange()
  expect(session).toBeDefined()
  first = { adminToken, rootKey, trust: await getTrust(url), deviceId }
  // It is counted in memory alone until the process stops.
  const again = { token: token.split('.').slice(0, 2).join('.') }
  expect((await call({ url }, 'POST', '/v1/enrollments', { body: again })).status).toBe(401)

  expect(await findPostmasters(folder)).toHaveLength(1)
  service.kill('SIGTERM')
  expect(await service.ended()).toBe(0)
  expect(await findPostmasters(folder)).toEqual([])
  expect(service.output.stderr).toBe('')
  for (const secret of [adminToken, adminToken.split('.')[1], rootKey, token.split('.')[1]]) {
    expect(service.output.stdout).not.toContain(secret)
  }
})

test('the second start keeps devices, keys and the admin token', async () => {
  const url = await spawnService(folder).ready()
  expect(await getTrust(url)).toEqual(first.trust)
  expect(await readAdminToken(folder)).toBe(first.adminToken)
  expect((await readFile(join(folder, 'root-key'), 'utf8')).trim()).toBe(first.rootKey)
  const { items } = await (await openAdmin(url, folder)).listDevices()
  expect(items.map(({ id, status }) => [id, status])).toEqual([[first.deviceId, 'ACTIVE']])
  expect((await call({ url }, 'GET', '/ready')).body.status).toBe('ready')
  await expectDeviceGoesOn(url)
  // What the first start refused, it told when it stopped.
  const path = '/v1/audit/events?type=enrollment_token.refused'
  await expect
    .poll(async () => (await call({ url }, 'GET', path, { token: first.adminToken })).body.items, { timeout: 10_000 })
    .toMatchObject([{ event: { data: { used: 1, secret: 0, ended: 0 } } }])
})

/** The device of the first start has a session, and can have another. */
async function expectDeviceGoesOn(url: string): Promise<void> {
  const device: QflareDevice = await openDevice({ store, url })
  await device.renewToken()
  expect((await device.exchange()).deviceId).toBe(first.deviceId)
}

describe('stopping', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s answers what is under way and nothing new, and ends with 0',
    async (signal) => {
      const service = spawnService(folder)
      const url = await service.ready()
      const { finish } = await beginRequest(url)
      service.kill(signal)
      await service.said(new RegExp(`stopping: ${signal}`))
      await expectRefusedConnections(url)

      expect(await finish()).toMatchObject([401, { code: 'enrollment_refused' }])
      const answeredAt = performance.now()
      expect(await service.ended()).toBe(0)
      // The bound of a drain, for a client that does not send the rest, is 10 s.
      expect(performance.now() - answeredAt).toBeLessThan(7_000)
      expect(await findPostmasters(folder)).toEqual([])
      expect(service.output.stderr).toBe('')
    },
  )

  test('a signal during the start is heeded once it has started', async () => {
    const service = spawnService(folder)
    while ((await findPostmasters(folder)).length === 0) await sleep(5)
    service.kill('SIGTERM')
    expect(await service.ended()).toBe(0)
    expect(await findPostmasters(folder)).toEqual([])
  })

  test('Ctrl-C under npm, which comes from the terminal and from npm, is one signal', async () => {
    const service = spawnService(folder)
    const { finish } = await beginRequest(await service.ready())
    service.kill('SIGINT')
    await service.said(/stopping: SIGINT/)
    service.kill('SIGINT')
    expect(await finish()).toMatchObject([401, { code: 'enrollment_refused' }])
    expect(await service.ended()).toBe(0)
    expect(await findPostmasters(folder)).toEqual([])
  })

  test('the second signal ends at once, and the next start finds everything', async () => {
    const service = spawnService(folder)
    await beginRequest(await service.ready())
    service.kill('SIGTERM')
    await service.said(/stopping: SIGTERM/)
    await sleep(1_100)
    const askedAt = performance.now()
    service.kill('SIGINT')
    expect(await service.ended()).toBe(1)
    expect(performance.now() - askedAt).toBeLessThan(7_000)
    await expectDeviceGoesOn(await spawnService(folder).ready())
  })
})

describe('dying', () => {
  test('kill -9 loses nothing: the next start takes PostgreSQL over', async () => {
    const service = spawnService(folder)
    const url = await service.ready()
    const added = (await (await enrollClient(url, folder)).exchange()).deviceId
    service.kill('SIGKILL')
    expect(await service.ended()).toBe('SIGKILL')

    const next = spawnService(folder)
    const nextUrl = await next.ready()
    expect(next.output.stdout).toContain('PostgreSQL of an earlier run is still there')
    expect((await (await openAdmin(nextUrl, folder)).getDevice(added)).status).toBe('ACTIVE')
    await expectDeviceGoesOn(nextUrl)
    next.kill('SIGTERM')
    expect(await next.ended()).toBe(0)
    expect(await findPostmasters(folder)).toEqual([])
  })

  test('kill -9 of PostgreSQL ends the service with a clear line, and the next start recovers', async () => {
    const service = spawnService(folder)
    const url = await service.ready()
    const added = (await (await enrollClient(url, folder)).exchange()).deviceId
    const [postmaster = 0] = await findPostmasters(folder)
    process.kill(postmaster, 'SIGKILL')
    expect(await service.ended()).toBe(1)
    expect(service.output.stdout).toMatch(/"msg":"stopping: PostgreSQL was lost"/)
    expect(service.output.stderr).toBe('')

    const nextUrl = await spawnService(folder).ready()
    expect((await (await openAdmin(nextUrl, folder)).getDevice(added)).status).toBe('ACTIVE')
    await expectDeviceGoesOn(nextUrl)
  })
})

describe('a start that cannot be', () => {
  test('on a port that is taken says so, and stops its PostgreSQL again', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    onTestFinished(() => void holder.close())
    const port = String((holder.address() as AddressInfo).port)
    const service = spawnService(folder, { PORT: port })
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toBe(
      `QFLARE did not start: port ${port} is taken by another program. Stop that one, or set PORT.\n`,
    )
    expect(await findPostmasters(folder)).toEqual([])
  })

  test('on a data folder that is in use says so, and the first goes on', async () => {
    const url = await spawnService(folder).ready()
    const second = spawnService(folder)
    expect(await second.ended()).toBe(1)
    expect(second.output.stderr).toBe(
      `QFLARE did not start: Another QFLARE process uses the data folder ${folder}; stop it first or set QFLARE_DATA_DIR.\n`,
    )
    expect((await call({ url }, 'GET', '/ready')).status).toBe(200)
    await expectDeviceGoesOn(url)
  })

  test('without the root key of its database says what to do, and makes no other', async () => {
    await rm(join(folder, 'root-key'))
    const service = spawnService(folder)
    expect(await service.ended()).toBe(1)
    expect(service.output.stderr).toContain(
      `${join(folder, 'root-key')}: is missing, but the database holds values that were sealed under it. Restore it from the backup`,
    )
    await expect(stat(join(folder, 'root-key'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await findPostmasters(folder)).toEqual([])

    await writeFile(join(folder, 'root-key'), `${first.rootKey}\n`, { mode: 0o644 })
    const open = spawnService(folder)
    expect(await open.ended()).toBe(1)
    expect(open.output.stderr).toMatch(/root-key: other users may read it \(mode 644\); run chmod 600 on it/)

    await writeFile(join(folder, 'root-key'), `${'A'.repeat(43)}\n`)
    await chmod(join(folder, 'root-key'), 0o600)
    const wrong = spawnService(folder)
    expect(await wrong.ended()).toBe(1)
    expect(wrong.output.stderr).toMatch(/^QFLARE did not start: .*(does not open|root key)/)
    expect(wrong.output.stderr).not.toMatch(/\n\s+at /)
    await writeFile(join(folder, 'root-key'), `${first.rootKey}\n`)
  })
})

describe('a data folder that is begun anew', () => {
  test('starts, although temporal keys of the one before are still in memory', async () => {
    const service = spawnService(folder)
    await service.ready()
    service.kill('SIGTERM')
    await service.ended()
    await rm(folder, { recursive: true })
    await mkdir(folder, { mode: 0o711 })
    const url = await spawnService(folder).ready()
    expect(await getTrust(url)).not.toEqual(first.trust)
    expect((await (await enrollClient(url, folder)).exchange()).session).toBeDefined()
  })
})
