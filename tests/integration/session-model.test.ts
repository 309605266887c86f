import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import type { SessionState } from '../../protocol/exchange/session-states.ts'
import { destroyTemporalKeys } from '../../workers/jobs/destroy-temporal-keys.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { makeSessionPartitions } from '../../workers/jobs/make-session-partitions.ts'
import { makeTemporalKeys } from '../../workers/jobs/make-temporal-keys.ts'
import { pruneSessions } from '../../workers/jobs/prune-sessions.ts'
import { enrollTestDevice } from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import {
  exchangeStep,
  PRUNE_AFTER_MS,
  passStep,
  type SessionWorld,
  sessionCommands,
} from '../support/session-commands.ts'
import { isOpen, SessionModel, transitions } from '../support/session-model.ts'

/** QFLARE_MODEL_RUNS=10000 for a full run, whose walks are others each time. */
const runs = Number(process.env.QFLARE_MODEL_RUNS ?? 100)
const seeded = process.env.QFLARE_MODEL_RUNS === undefined ? { seed: 4 } : {}
/** Of one service: time passes in walks, and its signing keys are good for two years. */
const WALKS = 250
const TIMEOUT_MS = 3_600_000

let service: TestService
let worker: Database
/** Of API processes that share nothing but the database and the store of temporal keys. */
let urls: string[]

test(
  'whatever is asked, repeated, refused or left alone, in whatever order and of whatever process: sessions go the ways of docs/protocol.md §4 and no other',
  async () => {
    const begin = performance.now()
    let commandCount = 0
    for (let done = 0; done < runs; done += WALKS) {
      await using _closed = await startService()
      await fc.assert(
        fc.asyncProperty(sessionCommands, async (commands) => {
          const world = await enterWorld()
          commandCount += [...commands].length
          await fc.asyncModelRun(() => ({ model: new SessionModel(service.time.now), real: world }), commands)
        }),
        { numRuns: Math.min(WALKS, runs - done), ...seeded },
      )
    }
    const seconds = ((performance.now() - begin) / 1_000).toFixed(1)
    console.log(`sessions against their model: ${runs} walks of ${commandCount} commands in ${seconds} s`)
  },
  TIMEOUT_MS,
)

test('what began more than two sessions’ lives ago is left to who writes ends down, by the exchange that comes then', async () => {
  await using _closed = await startService()
  const world = await enterWorld()
  const commands = [exchangeStep(0), passStep(7_200_001), exchangeStep(0)]
  await fc.asyncModelRun(() => ({ model: new SessionModel(service.time.now), real: world }), commands)
})

/** In the past: nobody may drop the sessions of a day that is not over. */
async function startService(): Promise<AsyncDisposable> {
  service = await startTestService({ now: Date.parse('2021-06-01') })
  worker = service.database.open('qflare_worker')
  urls = [service.url, (await service.startNode()).url, (await service.startNode()).url]
  return { [Symbol.asyncDispose]: () => service.close() }
}

async function enterWorld(): Promise<SessionWorld> {
  const device = await enrollTestDevice(service)
  const { sql } = service.database
  const { rows } = await sql.query<{ last: string }>('select coalesce(max(seq), 0) as last from audit_outbox')
  let lastEvent = rows[0]?.last
  const seen = new Map<string, SessionState>()
  const parts = {
    database: worker,
    writeEvent: service.log.options.writeEvent,
    retentionDays: PRUNE_AFTER_MS / 86_400_000,
  }

  const keyParts = { ...parts, ...service.serviceKeys, store: service.store, crypto }

  /** As the model says, and no state without a way to it from the one before. */
  async function checkStates(model: SessionModel): Promise<void> {
    const stored = await sql.query<{ id: string; state: SessionState; has_keys: boolean }>(
      'select id, state, chains is not null as has_keys from session where principal_id = $1',
      [device.deviceId],
    )
    for (const { id, state, has_keys: hasKeys } of stored.rows) {
      const before = seen.get(id) ?? 'PENDING'
      if (state !== before) expect(transitions[before], `${before} → ${state}`).toContain(state)
      expect(hasKeys, `keys of a session that is ${state}`).toBe(isOpen(state))
      seen.set(id, state)
    }
    const expected = model.sessions.filter(({ isPruned }) => !isPruned)
    expect(new Map(stored.rows.map(({ id, state }) => [id, state]))).toEqual(
      new Map(expected.map((session) => [session.id, session.stored])),
    )
  }

  /** One for each change, and for nothing else. */
  async function checkEvents(model: SessionModel): Promise<void> {
    const written = await sql.query<{ seq: string; type: string; device: string; session: string }>(
      `select seq, entry::jsonb ->> 'type' as type, entry::jsonb -> 'subject' ->> 'deviceId' as device,
        entry::jsonb -> 'subject' ->> 'sessionId' as session from audit_outbox where seq > $1 order by seq`,
      [lastEvent],
    )
    lastEvent = written.rows.at(-1)?.seq ?? lastEvent
    const found = written.rows.filter((event) => event.type.startsWith('session.') && event.device === device.deviceId)
    expect(found.map(({ type, session }) => `${type} ${session}`).toSorted()).toEqual(model.events.toSorted())
  }

  const world: SessionWorld = {
    device,
    adminToken: service.adminToken,
    url: service.url,
    goElsewhere() {
      world.url = urls[(urls.indexOf(world.url) + 1) % urls.length] as string
    },
    async passTime(ms) {
      const before = bucketAt(service.time.now)
      service.time.now += ms
      if (bucketAt(service.time.now) === before) return
      await makeSessionPartitions(worker, service.time.now)
      await makeTemporalKeys(keyParts, service.time.now)
      await destroyTemporalKeys(keyParts, { allow: (below) => below }, service.time.now)
    },
    async endInTime() {
      await endSessions(parts, service.time.now)
    },
    async prune() {
      await pruneSessions(parts, service.time.now)
    },
    async check(model) {
      await checkStates(model)
      await checkEvents(model)
    },
    kept: new Map(),
    certificates: [],
  }
  return world
}
