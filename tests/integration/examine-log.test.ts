import { readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { examineLog } from '../../operations/examine/examine-log.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { cosign, makeSigner } from '../support/test-log.ts'

let service: TestService
let file: Buffer
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())
const path = () => service.log.options.checkpointFile

beforeEach(async () => {
  await service.log.sequence()
  file = await readFile(path())
})
afterEach(() => writeFile(path(), file))

interface Wish {
  isInUse?: boolean
  afterMs?: number
  roles?: ('api' | 'worker' | 'sequencer')[]
  witnesses?: { vkey: string; url: string }[]
}

async function examine({ isInUse = true, afterMs = 0, roles = ['sequencer'], witnesses = [] }: Wish = {}) {
  const findings = await examineLog({
    config: {
      audit: { checkpointFile: path(), retentionYears: undefined, witnesses },
      roles,
      trustDomain: 'test.example',
    },
    database: service.log.options.database,
    crypto,
    auditKeys: service.serviceKeys.auditKeys,
    now: service.time.now + afterMs,
    isInUse,
  })
  return findings.map(({ level, message }) => `${level}: ${message}`)
}

async function makeEvent(): Promise<void> {
  const body = { name: `token ${crypto.randomBytes(4).join('')}`, roles: ['auditor'] }
  expect((await call(service, 'POST', '/v1/api-tokens', { token: service.adminToken, body })).status).toBe(201)
}

describe('qflare doctor, of the audit log', () => {
  test('finds it well: nothing waits, a fresh checkpoint, and the file of the sequencer', async () => {
    const found = await examine()
    expect(found).toHaveLength(3)
    expect(found.every((line) => line.startsWith('ok: '))).toBe(true)
    expect(found[2]).toContain('and the database continues them')
  })

  test('says that events wait and that nobody signs, where a service runs', async () => {
    await makeEvent()
    const found = await examine({ afterMs: 600_000 })
    expect(found).toContainEqual(expect.stringMatching(/^problem: \d+ events wait for it, the first for 600 s$/))
    expect(found).toContainEqual(expect.stringMatching(/^problem: its newest checkpoint .* was signed 600 s ago$/))
    const stopped = await examine({ afterMs: 600_000, isInUse: false })
    expect(stopped).not.toContainEqual(expect.stringMatching(/^problem/))
    expect(stopped).toContainEqual(expect.stringMatching(/^unseen: \d+ events wait/))
  })

  test('says that the file is missing where it has to be, and not where the sequencer is elsewhere', async () => {
    await rm(path())
    expect(await examine()).toContainEqual(`problem: there is no checkpoint file ${path()}`)
    expect(await examine({ roles: ['api'] })).toContainEqual(`unseen: there is no checkpoint file ${path()}`)
  })

  test('says that the file is not of this log, whoever wrote it', async () => {
    await writeFile(path(), String(file).replace(/^\d+$/m, '1'))
    expect(await examine()).toContainEqual(expect.stringMatching(/^problem: .* is no checkpoint of this log/))
    await writeFile(path(), 'anything')
    expect(await examine()).toContainEqual(expect.stringMatching(/^problem: .* is no checkpoint of this log/))
  })

  test('says that the database was taken back behind the file', async () => {
    const { sql } = service.database
    const before = await sql.query('select * from audit_log_state')
    const { size, published_id: id, published_size: published } = before.rows[0]
    const older = await sql.query('select id, size from audit_checkpoint where size < $1 order by id desc limit 1', [
      size,
    ])
    const set = 'update audit_log_state set size = $1, published_id = $2, published_size = $3'
    await sql.query(set, [older.rows[0].size, older.rows[0].id, older.rows[0].size])
    const found = await examine()
    await sql.query(set, [size, id, published])
    expect(found).toContainEqual(
      expect.stringMatching(/^problem: the database has \d+ entries, fewer than .* taken back$/),
    )
  })

  test('says that the file is behind, as one is that another sequencer does not write', async () => {
    await makeEvent()
    service.time.now += 400_000
    await service.log.sequence()
    await writeFile(path(), file)
    expect(await examine()).toContainEqual(expect.stringMatching(/^warning: .* is 400 s behind the database$/))
  })

  test('says when a check found a difference, for as long as it is news and after', async () => {
    const event = service.log.options.writeEvent(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'audit_log.difference_found',
        subject: {},
        data: { logSize: 3, count: 1, index: 0, what: 'is another entry than its hash' },
        requestId: newId(),
      },
      service.time.now,
    )
    const worker = service.database.open('qflare_worker')
    await worker.withOrganization(NIL_UUID, (tx) => insertEvents(tx, [event]))
    await service.log.sequence()
    file = await readFile(path())
    expect(await examine()).toContainEqual(expect.stringMatching(/^problem: a check of .* not what was signed$/))
    const later = { afterMs: 72 * 3_600_000, isInUse: false }
    expect(await examine(later)).toContainEqual(expect.stringMatching(/^warning: a check of/))
  })

  test('says what each witness has cosigned', async () => {
    const { vkey, ...signer } = makeSigner(crypto, 'witness.example')
    const witnesses = [{ vkey, url: 'https://witness.example' }]
    const nothing = 'warning: the witness witness.example has cosigned nothing yet'
    expect(await examine({ witnesses })).toContainEqual(nothing)
    const { rows } = await service.database.sql.query(
      'select id, size, root from audit_checkpoint order by id desc limit 1',
    )
    const [{ id, size, root }] = rows
    const line = cosign({ ...signer, vkey }, { origin: 'test.example/audit', size: Number(size), root }, 1)
    await service.database.sql.query('insert into audit_cosignature values ($1, $2, $3, to_timestamp($4))', [
      id,
      'witness.example',
      line,
      service.time.now / 1000,
    ])
    expect(await examine({ witnesses })).toContainEqual(
      `ok: the witness witness.example cosigned ${size} of ${size} entries, 0 s ago`,
    )
    // There is nothing more to cosign.
    expect(await examine({ witnesses, afterMs: 400_000, isInUse: false })).toContainEqual(
      `ok: the witness witness.example cosigned ${size} of ${size} entries, 400 s ago`,
    )
    await makeEvent()
    service.time.now += 400_000
    await service.log.sequence()
    file = await readFile(path())
    expect(await examine({ witnesses })).toContainEqual(expect.stringMatching(/^warning: the witness .* 400 s ago$/))
  })
})
