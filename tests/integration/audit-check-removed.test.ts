import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { readCheckpointFile } from '../../runtime/checkpoint-file.ts'
import { createLogger } from '../../runtime/logger.ts'
import { pruneAuditLog } from '../../workers/jobs/prune-audit-log.ts'
import { firstOrganization, logEvents } from '../support/audit.ts'
import { checkService, expectNamed, listDifferences } from '../support/audit-check.ts'
import { startTestService, type TestService } from '../support/service.ts'

const YEAR_MS = 365.25 * 86_400_000

describe('a check of a log whose old entries were removed', () => {
  let service: TestService

  beforeAll(async () => {
    const now = Date.now()
    service = await startTestService({ partitionEntries: 256, now: now - 6 * YEAR_MS })
    const organizationId = await firstOrganization(service)
    const { database, writeEvent } = service.log.options
    const logger = createLogger('silent')
    await logEvents(service, organizationId, 250)
    // What says that the first partition was removed is in the second, which is removed in its turn.
    for (const years of [3, 0]) {
      service.time.now = now - years * YEAR_MS
      await pruneAuditLog({ database, writeEvent, logger, retentionYears: 2 }, service.time.now)
      await logEvents(service, organizationId, 300)
    }
  })
  afterAll(() => service.close())

  test('finds nothing, though the event of the first removal is removed itself', async () => {
    const { rows } = await service.database.sql.query(
      'select first_index::int from audit_partition where removed_at is not null order by first_index',
    )
    expect(rows).toEqual([{ first_index: 0 }, { first_index: 256 }])
    expect(await listDifferences(service)).toEqual([])
  })

  test.each([
    [
      'a partition that no event says was removed',
      `delete from audit_entry where index >= 768; update audit_partition set removed_at = now() where first_index = 768`,
      ['768: is missing, and all that follow up to'],
    ],
    [
      'removed partitions whose event is gone with the next one',
      `delete from audit_entry where index < 768; update audit_partition set removed_at = now() where first_index = 512`,
      ['0: is missing, and all that follow up to 767'],
    ],
    [
      'a body that is left of a removed partition',
      `update audit_partition set removed_at = null where first_index = 0;
        update audit_partition set removed_at = now(), end_index = 768 where first_index = 256`,
      ['256: and all that follow up to 767 are said to be removed, but not all are gone'],
    ],
    [
      'a removed range that is larger than its event says',
      `delete from audit_entry where index < 520; update audit_partition set end_index = 520 where first_index = 256`,
      ['0: is missing, and all that follow up to 519'],
    ],
    [
      'removed entries of which the database does not say so',
      `update audit_partition set removed_at = null where first_index = 0`,
      ['0: is missing, and all that follow up to 255'],
    ],
    [
      'an event id that is gone with the entry',
      `delete from audit_event_id where index = 100`,
      ['100: is not in the table of event ids'],
    ],
  ])('names %s', (_what, change, expected) => expectNamed(service, change, expected))
})

describe('a check beside a sequencer', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startTestService({ partitionEntries: 256, now: Date.now() - 3 * YEAR_MS })
    await logEvents(service, NIL_UUID, 300)
  })
  afterAll(() => service.close())
  const readFile = () => readCheckpointFile(service.log.options.checkpointFile)

  test('finds nothing while it appends and signs', async () => {
    const appending = new AbortController()
    const appended = (async () => {
      while (!appending.signal.aborted) await logEvents(service, NIL_UUID, 70)
    })()
    const sizes: number[] = []
    try {
      for (let i = 0; i < 8; i++) {
        const { size, differences } = await checkService(service)
        expect(differences).toEqual([])
        sizes.push(size)
      }
    } finally {
      appending.abort()
      await appended
    }
    expect(sizes.at(-1)).toBeGreaterThan(sizes[0] as number)
  })

  test.each(['before', 'after'])('finds nothing where it appends and signs right %s the file is read', async (when) => {
    const checkpointFile = async () => {
      const early = await readFile()
      await logEvents(service, NIL_UUID, 300)
      return when === 'before' ? readFile() : early
    }
    expect(await listDifferences(service, { checkpointFile })).toEqual([])
  })

  test('finds nothing where old entries were just removed, and the event that says so is logged a moment later', async () => {
    const { database, writeEvent } = service.log.options
    await pruneAuditLog({ database, writeEvent, logger: createLogger('silent'), retentionYears: 2 }, Date.now())
    const logged = setTimeout(600).then(() => service.log.sequence())
    expect(await listDifferences(service)).toEqual([])
    await logged
    expect(await listDifferences(service)).toEqual([])
  })
})
