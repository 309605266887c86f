import { execFileSync } from 'node:child_process'
import { lstat, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import { call } from '../support/api.ts'
import { addEvents, deviceEvent, firstOrganization, logEvents } from '../support/audit.ts'
import { openTestLog } from '../support/log-writer.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

/** What somebody found who attacked the log; each was possible once. */

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

async function sizeInFile(path: string): Promise<number> {
  return parseCheckpointBody(parseNote(await readFile(path, 'utf8')).body).size
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'qflare-hardening-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

describe('the checkpoint file', () => {
  test('is not taken back by a sequencer that lost its turn while it published', async () => {
    const { options } = service.log
    const organizationId = await firstOrganization(service)
    const committed = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    let isHolding = false
    const late = await openTestLog({
      ...options,
      onStep: async (step) => {
        if (!isHolding || step !== 'committed') return
        committed.resolve()
        await held.promise
      },
    })
    isHolding = true
    const publishing = late.writer.publish()
    await committed.promise
    const next = await openTestLog(options)
    await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    await next.sequence()
    const size = next.writer.size()
    held.resolve()
    await expect(publishing).rejects.toThrow('this is no longer the sequencer')
    expect(await sizeInFile(options.checkpointFile)).toBe(size)
    service.log = await openTestLog(options)
  })

  test('stays where a link leads to', async () => {
    const { options } = service.log
    const apart = join(await makeFolder(), 'checkpoint')
    await rename(options.checkpointFile, apart)
    await symlink(apart, options.checkpointFile)
    await logEvents(service, await firstOrganization(service), 3)
    expect((await lstat(options.checkpointFile)).isSymbolicLink()).toBe(true)
    expect(await sizeInFile(apart)).toBe(service.log.writer.size())
    await rm(options.checkpointFile)
    await rename(apart, options.checkpointFile)
  })

  test('is not waited for where it is a FIFO', async () => {
    const checkpointFile = join(await makeFolder(), 'fifo')
    execFileSync('mkfifo', [checkpointFile])
    await expect(openTestLog({ ...service.log.options, checkpointFile })).rejects.toThrow('is no regular file')
  })
})

test('a log that was emptied does not begin anew without a word', async () => {
  const emptied = await startTestService()
  onTestFinished(() => emptied.close())
  const { sql } = emptied.database
  const { options } = emptied.log
  await emptied.log.sequence()
  await sql.query(`set session_replication_role = replica; delete from audit_entry; delete from audit_event_id;
    delete from audit_tile; delete from audit_checkpoint;
    update audit_log_state set size = 0, published_size = 0, published_id = null`)
  await rm(options.checkpointFile)
  await expect(openTestLog(options)).rejects.toMatchObject({ code: 'checkpoint_lost' })
  await openTestLog({ ...options, acceptLostCheckpoint: true })
  const { rows } = await sql.query(`select entry::jsonb -> 'data' as data from audit_outbox
    where entry::jsonb ->> 'type' = 'audit_log.checkpoint_lost'`)
  expect(rows).toEqual([{ data: { logSize: 0 } }])
})

test('a checkpoint from the future is no sign that all is well', async () => {
  expect((await call(service, 'GET', '/ready')).status).toBe(200)
  service.time.now += 600_000
  await service.log.writer.publish()
  service.time.now -= 600_000
  const { status, body } = await call(service, 'GET', '/ready')
  expect(status).toBe(503)
  expect(body.checks.auditLog).toMatchObject({ ok: false, detail: expect.stringContaining('a clock ran ahead') })
})

describe('exports', () => {
  const open = (token: string, url = service.url) =>
    fetch(`${url}/v1/audit/export`, { headers: { authorization: `Bearer ${token}` } })
  // More than waits on the way, so that who does not read keeps them under way.
  beforeAll(async () => logEvents(service, await firstOrganization(service), 30_000))

  test('are not made for a HEAD', async () => {
    const answer = await call(service, 'HEAD', '/v1/audit/export', { token: service.adminToken })
    expect(answer.status).toBe(200)
    expect(answer.body).toBe('')
  })

  test('end with the token that asked for them, and leave its places to others', async () => {
    const { id, token } = await makeApiToken(service, ['auditor'])
    const stolen = await Promise.all([1, 2, 3, 4].map(() => open(token)))
    expect(stolen.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect((await open(service.adminToken)).status).toBe(503)
    const revoked = await call(service, 'DELETE', `/v1/api-tokens/${id}`, { token: service.adminToken })
    expect(revoked.status).toBe(204)
    for (const answer of stolen) await expect(answer.text()).rejects.toThrow('terminated')
    const again = await open(service.adminToken)
    expect(again.status).toBe(200)
    await again.text()
  })

  test('of one organization leave places to another', async () => {
    const tenant = await makeTenant(service, 'another')
    const slow = await Promise.all([1, 2, 3, 4].map(() => open(service.adminToken)))
    expect(slow.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect((await open(service.adminToken)).status).toBe(503)
    const other = await open(tenant.adminToken)
    expect(other.status).toBe(200)
    for (const { body } of [...slow, other]) await body?.cancel()
  })

  test('end for who does not read on', async () => {
    const node = await service.startNode({ slowExportMs: 50 })
    const slow = await Promise.all([1, 2, 3, 4].map(() => open(service.adminToken, node.url)))
    expect(slow.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const statusOfNext = async () => {
      const { status, body } = await open(service.adminToken, node.url)
      await body?.cancel()
      return status
    }
    await expect.poll(statusOfNext, { timeout: 20_000 }).toBe(200)
    // Those that are cut off already refuse it.
    await Promise.allSettled(slow.map(async ({ body }) => body?.cancel()))
  })
})

describe('the functions of the log', () => {
  test.each([-1, -4_194_305, 9_000_000_000_000])('make no partition far from the log: %d', async (index) => {
    const { sql } = service.database
    const making = sql.query('select make_audit_partition($1)', [index])
    await expect(making).rejects.toMatchObject({ code: 'QF003' })
  })

  test('look for missing events in a bounded range', async () => {
    const { rows } = await service.database.sql.query(
      'select count(*)::int from find_missing_events(1000000, 9000000000000000000)',
    )
    expect(rows).toEqual([{ count: 65_536 }])
  })
})
