import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { KEK_OVERUSED, KEK_USE_BUDGET, MAX_KEK_USES, USES_AT_ONCE } from '../../runtime/custody/kek-uses.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { rotateOldKeks } from '../../workers/jobs/rotate-keks.ts'
import { observeKeys } from '../../workers/observe-keys.ts'
import { createReserveKekUses } from '../../workers/reserve-kek-uses.ts'
import { call, createToken } from '../support/api.ts'
import { type KekRotation, openKekRotation } from '../support/kek-rotation.ts'
import { monitorPartsOf, storedIncidents, watch } from '../support/monitor.ts'
import { crypto, type TestService } from '../support/service.ts'

/** The key that challenges are sealed under, by how often it may have sealed. */

let rotation: KekRotation
let service: TestService

const begin = async () => {
  rotation = await openKekRotation()
  ;({ service } = rotation)
}
const end = () => rotation.close()

const usesOf = async (version: number): Promise<number | null> => {
  const rows = await rotation.select<{ uses: string | null }>(
    'select uses from kek_version where purpose = 4 and version = $1',
    [version],
  )
  const uses = rows[0]?.uses ?? null
  return uses === null ? null : Number(uses)
}
const setUses = (uses: number | null) =>
  rotation.select('update kek_version set uses = $1 where purpose = 4 and version = 1', [uses])
const rotate = () => rotateOldKeks(rotation.parts, service.time.now)
const made = () => rotation.eventsOf('kek.made')
const openReserve = (role: 'qflare_api' | 'qflare_worker' = 'qflare_api') => {
  const database = service.database.open(role, 2)
  return createReserveKekUses({
    database,
    clock: { now: () => service.time.now },
    writeEvent: createEventWriter(crypto),
  })
}
async function startEnrolment(): Promise<{ status: number; body: Record<string, unknown> }> {
  const { credential } = await createToken(service)
  return call(service, 'POST', '/v1/enrollments', { body: { token: credential } })
}

describe('a key that seals challenges', () => {
  beforeEach(begin)
  afterEach(end)

  test('gets a successor when it has sealed as often as it should, it alone, and once', async () => {
    await setUses(KEK_USE_BUDGET - 1)
    await rotate()
    expect(await made()).toEqual([])
    await setUses(KEK_USE_BUDGET)
    await Promise.all([rotate(), rotate()])
    await rotate()
    expect(await made()).toMatchObject([
      { subject: { purpose: 'challenge', version: 2 }, data: { replaces: 1, why: 'use' } },
    ])
    await service.serviceKeys.refresh()
    expect(await usesOf(2), 'reserved before anything is sealed').toBe(USES_AT_ONCE)
    expect((await startEnrolment()).status).toBe(201)
    await rotation.enrol()
  })

  test('of a release that did not count gets one too', async () => {
    await setUses(null)
    const reserve = openReserve()
    await reserve('challenge', 1, 10)
    expect(await usesOf(1), 'what was before is not known').toBeNull()
    await rotate()
    expect((await made()).map(({ data }) => data)).toEqual([{ replaces: 1, why: 'uncounted' }])
    await service.serviceKeys.refresh()
    expect(await usesOf(2)).toBe(USES_AT_ONCE)
  })

  test('that was asked for, or is old, says so, whatever it sealed', async () => {
    await setUses(KEK_USE_BUDGET)
    service.time.now += rotation.parts.rotation.kekAge
    await rotate()
    expect((await made()).map(({ data }) => data.why)).toEqual(['age', 'age', 'age', 'age'])
  })
})

describe('uses are reserved', () => {
  beforeAll(begin)
  afterAll(end)

  test('by a process when it starts, and not for what it does not seal', async () => {
    expect(await usesOf(1)).toBe(USES_AT_ONCE)
    const others = await rotation.select('select 1 from kek_version where purpose <> 4 and uses <> 0')
    expect(others).toEqual([])
  })

  test('by any number of processes at once, of either role, none of them for nothing', async () => {
    const [api, worker] = [openReserve(), openReserve('qflare_worker')]
    await setUses(0)
    await Promise.all(Array.from({ length: 20 }, () => [api('challenge', 1, 7), worker('challenge', 1, 7)]).flat())
    expect(await usesOf(1)).toBe(280)
  })

  test('not beyond what AES-GCM may seal under one key: then nothing is sealed until there is another', async () => {
    await setUses(MAX_KEK_USES - 5)
    const reserve = openReserve()
    await expect(reserve('challenge', 1, 6)).rejects.toThrow('has sealed as often as one may')
    await reserve('challenge', 1, 5)
    await expect(reserve('challenge', 1, 1)).rejects.toThrow('has sealed as often as one may')
    expect(await usesOf(1)).toBe(MAX_KEK_USES)
    for (const version of [0, 2]) await expect(reserve('challenge', version, 1)).rejects.toThrow('as one may')
    await expect(reserve('challenge', 1, -1)).rejects.toThrow('as one may')
  })

  test('or a challenge is refused as an outage, with nothing stored, until the key has a successor', async () => {
    await setUses(MAX_KEK_USES)
    const { keyring } = service.serviceKeys
    const place = { organizationId: NIL_UUID, table: 't', column: 'c', primaryKey: new Uint8Array(1) }
    for (let i = 0; i < USES_AT_ONCE; i++) keyring.seal('challenge', place, new Uint8Array(1))
    const refused = await startEnrolment()
    expect([refused.status, refused.body.code]).toEqual([503, 'unavailable'])
    expect(await rotation.select('select 1 from challenge')).toEqual([])
    expect(await rotation.eventsOf('enrollment.challenged')).toEqual([])
    await rotate()
    await service.serviceKeys.refresh()
    expect((await startEnrolment()).status).toBe(201)
  })
})

describe('a key far past its budget', () => {
  beforeAll(begin)
  afterAll(end)

  test('is told of once, by whichever process makes it so, and is an incident of the service', async () => {
    const reserve = openReserve()
    await setUses(KEK_OVERUSED - 20)
    await reserve('challenge', 1, 19)
    expect(await rotation.eventsOf('kek.overused')).toEqual([])
    await Promise.all([1, 2, 3].map(() => reserve('challenge', 1, 8)))
    const [event, ...more] = await rotation.eventsOf('kek.overused')
    expect(event).toMatchObject({ subject: { purpose: 'challenge', version: 1 }, data: { uses: KEK_OVERUSED + 7 } })
    expect(more).toEqual([])
    await watch(service, monitorPartsOf(service))
    expect(await storedIncidents(service)).toMatchObject([
      {
        organization_id: NIL_UUID,
        rule: 'kek-overused',
        severity: 'critical',
        subject: 'key-encryption key 1 of challenge',
      },
    ])
  })

  test('cannot be counted where its event cannot be stored', async () => {
    await setUses(KEK_OVERUSED - 1)
    await rotation.select('alter table audit_outbox add constraint refuse_all check (false) not valid')
    await expect(openReserve()('challenge', 1, 1)).rejects.toThrow()
    expect(await usesOf(1)).toBe(KEK_OVERUSED - 1)
    await rotation.select('alter table audit_outbox drop constraint refuse_all')
  })

  test('is seen by a metric: how much of the budget is used, of the key that seals, and nothing where nobody counted', async () => {
    const readMetric = async () => {
      const metrics = createMetrics()
      const database = service.database.open('qflare_worker', 1)
      observeKeys({ database, clock: { now: () => service.time.now }, metrics, logger: createLogger('silent') })
      return /^qflare_kek_uses_ratio\{.*$/m.exec(await metrics.registry.metrics())?.[0]
    }
    await setUses(KEK_USE_BUDGET / 4)
    expect(await readMetric()).toBe('qflare_kek_uses_ratio{purpose="challenge"} 0.25')
    await setUses(null)
    expect(await readMetric()).toBeUndefined()
    await rotate()
    // The service may have found the new key by itself, and reserved uses.
    await service.serviceKeys.refresh()
    const ratio = USES_AT_ONCE / KEK_USE_BUDGET
    expect(await readMetric()).toBe(`qflare_kek_uses_ratio{purpose="challenge"} ${ratio}`)
  })
})
