import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../database/embedded.ts'
import type { Finding } from '../../operations/examine/finding.ts'
import { call } from '../support/api.ts'
import { expectRefusedOperation, makeTestFolder, operate, operateJson, stop } from '../support/operations.ts'
import { loginsOf, prepareOwnPostgres, urlOf } from '../support/own-postgres.ts'
import { makeServiceFolder, readAdminToken, removeServiceFolder, spawnService } from '../support/service-process.ts'

// Each step is a process of its own, and some are services.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

/** The operations on a service whose PostgreSQL is somebody else's, with a login per role. */
let server: string
let postgres: EmbeddedPostgres
let env: Record<string, string>

beforeAll(async () => {
  server = await makeServiceFolder()
  postgres = await startEmbeddedPostgres({ dataDirectory: server, log: () => undefined })
  await prepareOwnPostgres(postgres)
  env = {
    ...loginsOf(postgres),
    QFLARE_ROOT_KEY: randomBytes(32).toString('hex'),
  }
})
afterAll(async () => {
  await postgres.stop()
  await removeServiceFolder(server)
})

test('they examine it, recover its admin token, and see which root key is its, while it runs and when it is stopped', async () => {
  const folder = await makeTestFolder()
  const service = spawnService(folder, env)
  const url = await service.ready()

  const doctor = await operate(folder, ['doctor', '--json', '--at', url], env)
  const { findings } = JSON.parse(doctor.stdout) as { findings: Finding[] }
  expect(findings.filter(({ level }) => level === 'problem' || level === 'warning')).toEqual([])
  expect(findings).toContainEqual(
    expect.objectContaining({ level: 'ok', message: 'QFLARE_DATABASE_URL_MIGRATOR answers and can migrate' }),
  )
  expect(doctor.exitCode).toBe(0)
  expect(doctor.stdout).not.toMatch(/secret-of/)

  const lost = await readAdminToken(folder)
  await operateJson(folder, ['admin-token', 'recover', '--revoke-others'], env)
  const statusOf = async (token: string) => (await call({ url }, 'GET', '/v1/devices', { token })).status
  expect([await statusOf(await readAdminToken(folder)), await statusOf(lost)]).toEqual([200, 401])

  await stop(service)
  await operateJson(folder, ['admin-token', 'recover'], env)
  expect(await operateJson(folder, ['backup', '--check'], env)).toMatchObject({ belongTogether: true })
  const another = { ...env, QFLARE_ROOT_KEY: '0f'.repeat(32) }
  await expectRefusedOperation(folder, ['backup', '--check'], 'root_key_wrong', /Is the root key the one/, another)
  expect(existsSync(join(folder, 'postgres'))).toBe(false)
})

test('a login that may do more than its role, and one that may not migrate, are problems', async () => {
  const folder = await makeTestFolder()
  const wrong = { ...env, QFLARE_DATABASE_URL_MIGRATOR: env['DATABASE_URL'] as string }
  const doctor = await operate(folder, ['doctor', '--json'], { ...wrong, DATABASE_URL: superuserUrl() })
  expect(doctor.exitCode).toBe(1)
  expect(doctor.stdout).toMatch(/DATABASE_URL: .*postgres is a superuser/)
  expect(doctor.stdout).toMatch(/QFLARE_DATABASE_URL_MIGRATOR cannot become qflare_owner/)
  expect(doctor.stdout).not.toContain(postgres.superuserPassword)
})

function superuserUrl(): string {
  return urlOf(postgres, 'postgres', postgres.superuserPassword)
}
