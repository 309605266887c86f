import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { call } from '../support/api.ts'
import {
  expectRefusedOperation,
  listEvents,
  makeTestFolder,
  operate,
  operateJson,
  stop,
} from '../support/operations.ts'
import {
  findPostmasters,
  makeServiceFolder,
  openAdmin,
  readAdminToken,
  removeServiceFolder,
  spawnService,
} from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

interface Recovered {
  id: string
  organizationId: string
  file: string
  revoked: string[]
}

let folder: string

beforeAll(async () => {
  folder = await makeServiceFolder()
})
afterAll(() => removeServiceFolder(folder))

const statusOf = async (url: string, token: string) => (await call({ url }, 'GET', '/v1/devices', { token })).status
const recover = (...args: string[]) => operateJson<Recovered>(folder, ['admin-token', 'recover', ...args])

const tokenEvents = (type: 'recovered' | 'revoked') => listEvents(folder, `api_token.${type}`)

test('a token recovered while the service runs works at once, beside the lost one, which is put aside', async () => {
  const url = await spawnService(folder).ready()
  const lost = await readAdminToken(folder)
  const { id, file, revoked } = await recover()
  const found = await readAdminToken(folder)
  expect([file, revoked]).toEqual([join(folder, 'admin-token'), []])
  expect(found).toMatch(new RegExp(`^qf_${id}\\.`))
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await readFile(`${file}.replaced`, 'utf8')).trim()).toBe(lost)
  expect([await statusOf(url, found), await statusOf(url, lost)]).toEqual([200, 200])
  expect(await tokenEvents('recovered')).toMatchObject([{ severity: 'warning', subject: { apiTokenId: id } }])
})

test('it administers the service, as the first one did', async () => {
  const url = await spawnService(folder).ready()
  const token = await readAdminToken(folder)
  const made = await call({ url }, 'POST', '/v1/organizations', { token, body: { name: 'north' } })
  expect(made.status).toBe(201)
})

test('of another organization it administers that one only, and revoking the others touches no other tenant', async () => {
  const url = await spawnService(folder).ready()
  const first = await readAdminToken(folder)
  const { file, organizationId, revoked } = await recover('--organization', 'north', '--revoke-others')
  expect(revoked).toHaveLength(1)
  expect(file).toBe(join(folder, `admin-token.${organizationId}`))
  expect(await readAdminToken(folder), 'the token of the service').toBe(first)
  const north = (await readFile(file, 'utf8')).trim()
  expect([await statusOf(url, north), await statusOf(url, first)]).toEqual([200, 200])
  const refused = await call({ url }, 'POST', '/v1/organizations', { token: north, body: { name: 'east' } })
  expect(refused.status).toBe(403)
  const event = (await tokenEvents('recovered')).at(-1)
  expect(event).toMatchObject({ data: { revokedCount: 1 } })
  const ended = (await tokenEvents('revoked')).filter(({ requestId }) => requestId === event?.requestId)
  expect(ended).toMatchObject([{ subject: { apiTokenId: revoked[0] }, data: { with: 'recovery' } }])
})

test('with --revoke-others no earlier token of the organization is good any more', async () => {
  const url = await spawnService(folder).ready()
  await recover()
  const before = await readAdminToken(folder)
  const { revoked } = await recover('--revoke-others')
  expect(revoked.length).toBeGreaterThanOrEqual(3)
  const now = await readAdminToken(folder)
  expect([await statusOf(url, now), await statusOf(url, before)]).toEqual([200, 401])
  expect((await (await openAdmin(url, folder)).listDevices()).items).toEqual([])
})

test('of two at once both tokens are in a file, and both work', async () => {
  const url = await spawnService(folder).ready()
  const before = await readAdminToken(folder)
  const made = await Promise.all([recover(), recover()])
  const files = (await readdir(folder)).filter((name) => name.startsWith('admin-token'))
  const kept = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))
  for (const { id } of made) {
    const token = kept.find((text) => text.startsWith(`qf_${id}.`))?.trim() ?? ''
    expect(await statusOf(url, token)).toBe(200)
  }
  expect(kept.map((text) => text.trim())).toContain(before)
})

test('a stopped service is started for the moment, under its lock, and is stopped again', async () => {
  const service = spawnService(folder)
  await service.ready()
  await stop(service)
  const run = await operate(folder, ['admin-token', 'recover'])
  expect(run).toMatchObject({ exitCode: 0 })
  expect(await findPostmasters(folder)).toEqual([])
  expect(run.stdout + run.stderr).not.toContain((await readAdminToken(folder)).split('.')[1])
  const url = await spawnService(folder).ready()
  expect(await statusOf(url, await readAdminToken(folder))).toBe(200)
})

test('what cannot be recovered leaves the token file and the database as they are', async () => {
  await spawnService(folder).ready()
  const before = await readAdminToken(folder)
  const events = (await tokenEvents('recovered')).length
  const args = ['admin-token', 'recover', '--organization', 'nobody']
  await expectRefusedOperation(folder, args, 'organization_unknown', /There is no organization nobody/)
  expect(await readAdminToken(folder)).toBe(before)
  expect(await tokenEvents('recovered')).toHaveLength(events)
  const empty = await makeTestFolder()
  await expectRefusedOperation(empty, ['admin-token', 'recover'], 'no_database', /There is no database in/)
})
