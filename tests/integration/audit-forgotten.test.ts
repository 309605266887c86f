import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { formatVerifierKey } from '../../protocol/log/verifier-key.ts'
import { destroyUnknownRecords } from '../../workers/jobs/destroy-unknown-records.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { createToken, enrollTestDevice, establish } from '../support/api.ts'
import { makeSigner } from '../support/memory-log.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant } from '../support/tenants.ts'

/** A bucket in which a device exchanged keys, which is over: its keys are destroyed, and so are those of the one after it. */
let service: TestService
let bucket: number
let countedAt: number
let pin: string
let folder: string

beforeAll(async () => {
  service = await startTestService()
  folder = mkdtempSync(join(tmpdir(), 'qflare-forgotten-'))
  writeFileSync(inFolder('auditor'), (await makeApiToken(service, ['auditor'])).token)
  writeFileSync(inFolder('other'), (await makeTenant(service, 'other')).adminToken)
  writeFileSync(inFolder('log.vkey'), service.log.keys.map(formatVerifierKey).join('\n'))
  pin = (await createToken(service)).pin
  bucket = bucketAt(service.time.now)
  await establish(service, await enrollTestDevice(service))
  // Of the next bucket one key is lost and made anew, and the record of its epoch vanishes in the end.
  await service.store.destroy({ kind: 'bucket', number: bucket + 1, generation: 0 })
  await service.tick()
  countedAt = (bucket + 1) * BUCKET_MS
  const worker = service.database.open('qflare_worker')
  await endSessions({ database: worker, writeEvent: service.log.options.writeEvent }, countedAt)
  await service.store.destroy({ kind: 'epoch', number: bucket + 1, generation: 0 })
  service.time.now = (bucket + 2) * BUCKET_MS + GRACE_MS + 1_000
  await service.tick()
  await service.log.sequence()
}, 60_000)
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const inFolder = (name: string) => join(folder, name)

function audit(args: readonly string[], token = 'auditor') {
  const env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: inFolder(token) }
  return runHere(['audit', ...args], { env })
}

async function forgotten(args: readonly string[], token?: string) {
  const { exitCode, stdout } = await audit(['forgotten', ...args, '--key', inFolder('log.vkey'), '--json'], token)
  return { exitCode, ...JSON.parse(stdout) }
}

const how = () => (service.store.isErasable ? 'erased' : 'best-effort')

async function eventOf(kind: string, number: number, generation = 0) {
  const { rows } = await service.database.sql.query<{ id: string; index: string; recordHash: string }>(
    `select event_id as id, index, entry::jsonb -> 'data' ->> 'recordHash' as "recordHash" from audit_entry
      where type = 'temporal_key.destroyed' and entry::jsonb -> 'subject' @> $1::jsonb`,
    [{ kind, number, generation }],
  )
  expect(rows).toHaveLength(1)
  return { eventId: rows[0]?.id, index: Number(rows[0]?.index), recordHash: rows[0]?.recordHash }
}

describe('a key that was destroyed', () => {
  test('of a bucket is proven to be, with the hash of its record', async () => {
    const { recordHash, ...event } = await eventOf('bucket', bucket)
    expect(await forgotten(['--bucket', String(bucket)])).toMatchObject({
      exitCode: 0,
      kind: 'bucket',
      number: bucket,
      outcome: 'destroyed',
      records: [
        {
          generation: 0,
          recordHash,
          madeAt: expect.any(Number),
          destroyed: { ...event, type: 'temporal_key.destroyed', how: how(), at: service.time.now },
        },
      ],
    })
  })

  test('of an epoch says how many sessions had a chain under it, and when they were counted', async () => {
    const { records } = await forgotten(['--epoch', String(bucket)])
    expect(records).toMatchObject([{ generation: 0, destroyed: { how: how(), sessions: 1, countedAt } }])
  })

  test('is proven in every generation, and that one was gone before is said', async () => {
    const { exitCode, records } = await forgotten(['--bucket', String(bucket + 1)])
    expect({ exitCode, records }).toMatchObject({
      exitCode: 0,
      records: [
        { generation: 0, destroyed: { how: 'observed' } },
        { generation: 1, destroyed: { how: how() } },
      ],
    })
  })

  test('is proven to auditors of every organization', async () => {
    expect(await forgotten(['--epoch', String(bucket)], 'other')).toMatchObject({ exitCode: 0, outcome: 'destroyed' })
  })

  test('is told to people with what it proves and what it does not', async () => {
    const { exitCode, stdout } = await audit(['forgotten', '--epoch', String(bucket), '--pin', pin])
    expect(exitCode).toBe(0)
    expect(stdout).toContain('1 had a chain under it')
    expect(stdout).toMatch(/Proven: .*\nNot proven: .*nobody made a copy/s)
  })

  test('leaves files that verify without the service, and none of them a second time', async () => {
    const out = inFolder('out')
    const args = ['forgotten', '--bucket', String(bucket + 1), '--key', inFolder('log.vkey'), '--out', out]
    expect((await audit(args)).exitCode).toBe(0)
    const names = [0, 1].flatMap((place) => [`bucket-${bucket + 1}-${place}`])
    expect(readdirSync(out).sort()).toEqual(names.flatMap((name) => [`${name}.json`, `${name}.tlog-proof`]))
    for (const name of names) {
      const file = join(out, `${name}.tlog-proof`)
      expect((await audit(['verify', file, '--key', inFolder('log.vkey')])).exitCode).toBe(0)
    }
    expect((await audit(args)).exitCode).toBe(4)
  })

  test('is not taken for proven under the key of another log', async () => {
    const other = makeSigner(crypto, 'cosignature', 'test.example/audit', 'another').vkey
    const run = await audit(['forgotten', '--bucket', String(bucket), '--key', other])
    expect(run).toMatchObject({ exitCode: 1, stdout: '' })
  })
})

test.each(['epoch', 'bucket'])(
  'the key of a time, of kind %s, that is under way is not destroyed yet',
  async (kind) => {
    const run = await forgotten([`--${kind}`, String(bucketAt(service.time.now))])
    expect(run).toMatchObject({ exitCode: 5, outcome: 'not destroyed', records: [{ generation: 0, destroyed: null }] })
  },
)

test('a key of a time before the service, and one that is not made yet, never existed', async () => {
  for (const number of [0, bucket - 1_000, bucket + 1_000]) {
    expect(await forgotten(['--bucket', String(number)])).toMatchObject({
      exitCode: 6,
      outcome: 'unknown',
      records: [],
    })
  }
})

test('a destruction that no published checkpoint covers is none yet', async () => {
  const number = bucketAt(service.time.now)
  service.time.now = (number + 1) * BUCKET_MS + GRACE_MS
  await service.tick()
  expect((await forgotten(['--epoch', String(number)])).exitCode).toBe(5)
  await service.log.sequence()
  expect((await forgotten(['--epoch', String(number)])).exitCode).toBe(0)
})

test('a record that was found after a crash, and the one that was made in its place, are two', async () => {
  const number = bucketAt(service.time.now) + 4
  const { writeEvent } = service.log.options
  const database = service.database.open('qflare_worker')
  const name = { kind: 'bucket', number, generation: 0 } as const
  await service.store.makeOnce(name, crypto.randomBytes(100))
  expect(await destroyUnknownRecords({ database, store: service.store, crypto, writeEvent }, service.time.now)).toEqual(
    [name],
  )
  service.time.now = number * BUCKET_MS
  await service.tick()
  await service.log.sequence()
  const told = async () => {
    const { exitCode, records } = await forgotten(['--bucket', String(number)])
    const types = records.map(({ destroyed }: { destroyed: { type: string } | null }) => destroyed?.type ?? 'none')
    return { exitCode, types: new Set(types) }
  }
  expect(await told()).toEqual({ exitCode: 5, types: new Set(['none', 'temporal_key.unknown_destroyed']) })
  service.time.now += BUCKET_MS + GRACE_MS
  await service.tick()
  await service.log.sequence()
  expect(await told()).toEqual({
    exitCode: 0,
    types: new Set(['temporal_key.destroyed', 'temporal_key.unknown_destroyed']),
  })
})

test('one of the two is named, and a number', async () => {
  for (const args of [[], ['--bucket', '1', '--epoch', '1'], ['--bucket', '-1'], ['--epoch', '1e3']]) {
    expect((await audit(['forgotten', ...args])).exitCode, args.join(' ')).toBe(2)
  }
})
