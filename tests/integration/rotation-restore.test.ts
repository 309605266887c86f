import { expect, onTestFinished, test } from 'vitest'
import { openDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { bringTrustAhead, countBundlesSince } from '../../operations/bring-trust-ahead.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { createToken } from '../support/api.ts'
import { listEvents, makeTestFolder, operate, operateJson } from '../support/operations.ts'
import { countBundles, DAY_MS, MINUTE_MS, pass, rotate, times } from '../support/rotation.ts'
import { crypto, startTestService } from '../support/service.ts'
import { spawnService } from '../support/service-process.ts'

test('a device that followed bundles which a restored database has forgotten follows those that the restore brings', async () => {
  const rootKey = crypto.randomBytes(32)
  const service = await startTestService({ rootKey })
  onTestFinished(() => service.close())
  const { sql } = service.database
  const store = createMemoryStore()
  const now = () => service.time.now
  const { token } = await createToken(service)
  await enrollDevice({ url: service.url, token, name: 'edge', store, now })
  const device = await openDevice({ store, now })
  await pass(service, 90 * DAY_MS)
  await sql.query('create table keys_of_then as select * from signing_key')
  for (const minutes of [0, 60, 75]) {
    await pass(service, minutes * MINUTE_MS)
    await rotate(service)
  }
  await pass(service, 0)
  expect((await device.exchange()).trust.sequence).toBe(3)

  await sql.query('truncate challenge, bucket_certificate, temporal_key')
  await sql.query('delete from trust_bundle where sequence > 1')
  await sql.query('truncate signing_key cascade; insert into signing_key select * from keys_of_then')
  await pass(service, 15 * MINUTE_MS)
  await expect(device.exchange(), 'the keys of then are none that it trusts').rejects.toMatchObject({
    code: 'certificate_invalid',
  })

  const worker = service.database.open('qflare_worker', 1)
  const count = countBundlesSince(times, 3 * DAY_MS)
  const sequence = await worker.withOrganization(NIL_UUID, (tx) =>
    bringTrustAhead(tx, { crypto, rootKey }, count, service.time.now),
  )
  expect([sequence, await countBundles(service)]).toEqual([1 + count, 1 + count])
  expect((await device.exchange()).trust.sequence).toBe(sequence)
})

test.each([
  [0, 12],
  [90 * DAY_MS - 1, 12],
  [90 * DAY_MS, 15],
  [3 * 365 * DAY_MS, 57],
])('after %i ms there may have been fewer bundles than a restore brings', (elapsed, count) => {
  expect(countBundlesSince(times, elapsed)).toBe(count)
})

test('qflare trust ahead does the same for a database that somebody else brought back, and the log says so', async () => {
  const folder = await makeTestFolder()
  const service = spawnService(folder)
  await service.ready()
  const { trustSequence } = await operateJson<{ trustSequence: number }>(folder, [
    'trust',
    'ahead',
    '--days',
    '3',
    '--yes',
  ])
  expect(trustSequence).toBe(13)
  expect(await listEvents(folder, 'trust.brought_ahead')).toMatchObject([
    { severity: 'warning', data: { trustSequence, bundles: 12 } },
  ])
  const run = await operate(folder, ['trust', 'ahead', '--days', 'x', '--yes'])
  expect(run.exitCode).toBe(2)
})
