import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import {
  dropAttestationPartition,
  keepResults,
  listAttestationPartitions,
  listReliedResults,
} from '../../database/repositories/attestation-retention.ts'
import { newId } from '../../runtime/ids.ts'
import { makeAttestationPartitions } from '../../workers/jobs/make-attestation-partitions.ts'
import { type PruneAttestationsParts, pruneAttestations } from '../../workers/jobs/prune-attestations.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { AFTER_OLD_WEEKS, ageResult, beginInOldWeeks, idOf, OLD_WEEKS } from '../support/attestation-partitions.ts'
import { expectRefusal } from '../support/refusals.ts'
import { askKeys, enterService, makeFederation, openAnswer, openRound } from '../support/rounds.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

const DAY_MS = 86_400_000
const [firstWeek, secondWeek] = OLD_WEEKS
const inFirstWeek = Date.parse(firstWeek) + 2 * DAY_MS
/** When the second week may go. */
const due = Date.parse(AFTER_OLD_WEEKS) + 400 * DAY_MS

let service: TestService
let worker: Database
let parts: PruneAttestationsParts

beforeAll(async () => {
  service = await startTestService()
  worker = service.database.open('qflare_worker')
  parts = { database: worker, writeEvent: service.log.options.writeEvent, attestationRetentionDays: 400 }
  await beginInOldWeeks(service.database.sql)
})
afterAll(() => service.close())
beforeEach(async () => {
  const { sql } = service.database
  await sql.query('select make_attestation_partition(d) from unnest($1::date[]) as d', [OLD_WEEKS])
  await sql.query('truncate kept_attestation_result')
  for (const table of ['evidence', 'attestation_result']) {
    await sql.query(`delete from ${table} where id < first_id_of('2022-01-01')`)
  }
  await sql.query('truncate audit_outbox')
})

const old = async () => (await worker.withoutOrganization(listAttestationPartitions)).filter((end) => end < '2022')
const drop = (until: string, madeBefore: number) =>
  worker.withoutOrganization((tx) => dropAttestationPartition(tx, until, madeBefore))
const show = (id: string, behind = '', token = service.adminToken) =>
  call(service, 'GET', `/v1/attestations/${id}${behind}`, { token })

async function events(type: string): Promise<unknown[]> {
  const { rows } = await service.database.sql.query(
    `select entry::jsonb -> 'data' as data from audit_outbox where entry::jsonb ->> 'type' = $1 order by seq`,
    [type],
  )
  return rows.map(({ data }) => data)
}

async function listKept(): Promise<string[]> {
  const { rows } = await service.database.sql.query('select id from kept_attestation_result order by id')
  return rows.map(({ id }) => id)
}

/** A device whose one result is of the first old week, and that nobody relies on. */
async function enrollAndRevoke(at = inFirstWeek): Promise<string> {
  const { deviceId } = await enrollTestDevice(service)
  const id = await ageResult(service.database.sql, deviceId, at)
  await call(service, 'POST', `/v1/devices/${deviceId}/revoke`, { token: service.adminToken, body: {} })
  return id
}

describe('a week of results and evidence', () => {
  test('goes as a whole when it ended longer ago than the retention, and not a millisecond before', async () => {
    const id = await enrollAndRevoke()
    const newer = await enrollAndRevoke(Date.parse(secondWeek))
    const before = due - 7 * DAY_MS
    // The partition of whatever was before them ends with the beginning of the first week.
    expect(await pruneAttestations(parts, before - 1)).toEqual([{ until: firstWeek, results: 0, evidence: 0 }])
    expect(await old()).toEqual([secondWeek, AFTER_OLD_WEEKS])
    expect((await show(id)).status).toBe(200)
    expect(await pruneAttestations(parts, before)).toEqual([{ until: secondWeek, results: 1, evidence: 1 }])
    expect(await old()).toEqual([AFTER_OLD_WEEKS])
    expect((await show(newer)).status).toBe(200)
    expect((await show(newer, '/evidence')).status).toBe(200)
    expect(await events('attestations.pruned')).toEqual([
      { before: firstWeek, results: 0, evidence: 0 },
      { before: secondWeek, results: 1, evidence: 1 },
    ])
  })

  test('is dropped once by a second run and by two workers at once', async () => {
    const other = { ...parts, database: service.database.open('qflare_worker') }
    const runs = await Promise.all([pruneAttestations(parts, due), pruneAttestations(other, due)])
    expect(runs.flat().map(({ until }) => until)).toContain(AFTER_OLD_WEEKS)
    expect(new Set(runs.flat().map(({ until }) => until)).size).toBe(runs.flat().length)
    expect(await pruneAttestations(parts, due)).toEqual([])
    expect(await events('attestations.pruned')).toHaveLength(runs.flat().length)
  })

  test('stays when its event cannot be stored, and goes with the next run', async () => {
    const { sql } = service.database
    await enrollTestDevice(service).then(({ deviceId }) => ageResult(sql, deviceId, inFirstWeek))
    await sql.query('revoke insert on audit_outbox from qflare_worker')
    try {
      await expect(pruneAttestations(parts, due)).rejects.toMatchObject({ code: 'event_refused' })
    } finally {
      await sql.query('grant insert on audit_outbox to qflare_worker')
    }
    expect(await old()).toContain(secondWeek)
    expect(await listKept()).toHaveLength(1)
    await pruneAttestations(parts, due)
    expect(await old()).toEqual([])
    expect(await listKept()).toHaveLength(1)
  })

  test('is not waited for by who attests: a drop that has to wait is tried again', async () => {
    const { sql } = service.database
    await sql.query('begin')
    await sql.query('lock table attestation_result in access share mode')
    try {
      await expect(pruneAttestations(parts, due)).rejects.toMatchObject({ code: '55P03' })
    } finally {
      await sql.query('rollback')
    }
    expect(await old()).toContain(secondWeek)
    await pruneAttestations(parts, due)
    expect(await old()).toEqual([])
  })

  test('is refused by PostgreSQL when it is younger, not the oldest, or has what is relied upon and not kept', async () => {
    const { sql } = service.database
    const { deviceId } = await enrollTestDevice(service)
    await ageResult(sql, deviceId, inFirstWeek)
    const refused = { code: 'QF003' }
    await expect(drop(secondWeek, Date.parse(secondWeek) - 1)).rejects.toMatchObject(refused)
    await expect(drop(secondWeek, Date.now())).rejects.toThrow('for two days at least')
    await expect(drop(AFTER_OLD_WEEKS, due)).rejects.toThrow('there are older results')
    await expect(drop(secondWeek, due)).rejects.toThrow('relied upon, and not kept')
    const relied = await worker.withoutOrganization((tx) => listReliedResults(tx, secondWeek, 10))
    for (const { organizationId, id } of relied) {
      const keep = () => worker.withOrganization(organizationId, (tx) => keepResults(tx, [id]))
      expect([await keep(), await keep()]).toEqual([1, 0])
    }
    expect(await drop(secondWeek, due)).toEqual({ results: 1, evidence: 1 })
    expect(await drop(secondWeek, due)).toBe(undefined)
  })

  test('is made beside somebody who is in the middle of an attestation', async () => {
    const { sql } = service.database
    await sql.query(`drop table evidence_20210308, attestation_result_20210308`)
    await sql.query('begin')
    await sql.query('lock table evidence, attestation_result in row exclusive mode')
    try {
      expect(await makeAttestationPartitions(worker, Date.parse(secondWeek))).toContain(secondWeek)
    } finally {
      await sql.query('rollback')
    }
    expect(await makeAttestationPartitions(worker, Date.parse(secondWeek))).toEqual([])
  })
})

describe('a result that somebody relies on', () => {
  test('stays, alone of its time, and admits its device to rounds; its evidence is gone, and the answers say so', async () => {
    const { sql } = service.database
    const coordinator = await enterService(service, 'coordinator')
    const device = await enterService(service)
    const federation = await makeFederation(service, coordinator, [device])
    await ageResult(sql, coordinator.deviceId, inFirstWeek)
    const id = await ageResult(sql, device.deviceId, inFirstWeek)
    const gone = await enrollAndRevoke()
    expect(await pruneAttestations(parts, due)).toContainEqual({ until: secondWeek, results: 3, evidence: 3 })
    expect(await listKept()).toHaveLength(2)

    const round = await openRound(service, coordinator, federation)
    const { keys } = openAnswer(coordinator, federation, round, await askKeys(service, coordinator, round))
    expect(keys.map(({ deviceId }) => deviceId)).toEqual([device.deviceId])
    expect((await show(id)).body).toMatchObject({ id, deviceId: device.deviceId, tier: 'none' })
    expect((await show(id, '/ear')).status).toBe(200)
    for (const answer of [await show(id, '/evidence'), await show(gone), await show(gone, '/ear')]) {
      expectRefusal(answer, 410, 'attestation_removed')
    }
  })

  test('is let go when its device has a newer one, though a round that gave a key on it can still be closed', async () => {
    const { sql } = service.database
    const coordinator = await enterService(service, 'coordinator')
    const device = await enterService(service)
    const federation = await makeFederation(service, coordinator, [device])
    const id = await ageResult(sql, device.deviceId, inFirstWeek)
    const round = await openRound(service, coordinator, federation)
    await askKeys(service, coordinator, round)
    expect((await attest(service, device)).status).toBe(200)
    await pruneAttestations(parts, due)
    expect(await listKept()).toEqual([id])
    const token = coordinator.accessToken
    const closed = await call(service, 'POST', `${round.path}/close`, { token, body: {} })
    expect(closed.body.certificate.participants).toMatchObject([{ attestationId: id }])
    expect(await events('attestations.released')).toEqual([])
    await pruneAttestations(parts, due)
    expect(await listKept()).toEqual([])
    await pruneAttestations(parts, due)
    expect(await events('attestations.released')).toEqual([{ results: 1 }])
  })

  test('is kept for its own organization, and for no other', async () => {
    const { sql } = service.database
    const tenant = await makeTenant(service, `other ${newId()}`)
    const own = await enrollTestDevice(service)
    const foreign = await enrollTestDevice(tenant)
    const id = await ageResult(sql, own.deviceId, inFirstWeek)
    const foreignId = await ageResult(sql, foreign.deviceId, inFirstWeek)
    await pruneAttestations(parts, due)
    expect(await listKept()).toEqual([id, foreignId].toSorted())
    expect((await show(foreignId, '', tenant.adminToken)).status).toBe(200)
    // As every id of that time, whether there was one or not.
    for (const unseen of [foreignId, idOf(inFirstWeek)]) expectRefusal(await show(unseen), 410, 'attestation_removed')
    for (const unknown of [newId(), randomUUID()]) expectRefusal(await show(unknown), 404, 'not_found')
  })
})
