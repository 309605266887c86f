import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { roundKeysAnswer } from '../../protocol/rounds/messages.ts'
import { findOrganization } from '../audit/fill-outbox.ts'
import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { startCpuMeter } from '../process-cpu.ts'
import { openEpochKeys } from './open-epoch-keys.ts'
import { seedMembers } from './seed-members.ts'

const PART = 'rounds'
const CALLS = 10
const ENDS = 3
/** Calls behind the end of the bucket would be of two epochs: some seconds are left for each. */
const LEAST_OF_BUCKET_MS = 120_000

/** The keys of rounds of `devices` members, one call each, and what the API and PostgreSQL spend on them. */
export async function reportRounds(
  { roundDevices: devices }: { roundDevices: number },
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  await using started = new AsyncDisposableStack()
  const service = await startBenchService()
  started.defer(() => service.stop())
  await noteService(service)
  await waitForFreshBucket(progress)
  progress(`rounds: ${devices} members`)
  const { open, ask, close } = await makeCoordinator(service, devices)
  progress(`rounds: ${CALLS} calls`)
  const samples: Sample[] = []
  // The first call prepares statements and compiles code.
  await ask(await open())
  for (let call = 0; call < CALLS; call++) {
    const round = await open()
    samples.push(await measureCall(service, () => ask(round)))
  }
  const waits: number[] = []
  const closings: number[] = []
  for (let call = 0; call < ENDS; call++) {
    const round = await open()
    waits.push(await measureOthers(service, () => ask(round)))
    const startedAt = performance.now()
    await close(round)
    closings.push(performance.now() - startedAt)
  }
  const of = (name: string, unit: Figure['unit'], rest: Partial<Figure> = {}) => ({ part: PART, name, unit, ...rest })
  const perSecond = (of: (sample: Sample) => number) => samples.map((sample) => (devices / of(sample)) * 1000)
  const more = { better: 'higher' as const }
  return [
    summarize(
      of(`keys of ${devices} devices, one call`, 'ms', { target: 2000 }),
      samples.map(({ ms }) => ms),
    ),
    summarize(
      of('keys per second of CPU, API', '/s', { ...more, target: 20_000 }),
      perSecond(({ apiMs }) => apiMs),
    ),
    summarize(
      of('keys per second of CPU, API and PostgreSQL', '/s', more),
      perSecond(({ allMs }) => allMs),
    ),
    summarize(of('longest answer to another request meanwhile', 'ms'), waits),
    summarize(of(`certificate of ${devices} participants`, 'ms'), closings),
  ]
}

interface Coordinator {
  /** A new round: its path. */
  open(): Promise<string>
  /** Throws unless every device got its key. */
  ask(round: string): Promise<void>
  close(round: string): Promise<void>
}

async function makeCoordinator(service: BenchService, devices: number): Promise<Coordinator> {
  const { url, adminToken } = service
  const operator = openOperator({ url, apiToken: adminToken })
  const { token } = await operator.createEnrollmentToken({ kind: 'coordinator' })
  const store = createMemoryStore()
  const coordinator = await enrollDevice({ url, token, store, name: 'bench coordinator', kind: 'coordinator' })
  await coordinator.exchange()
  const bearer = (await store.load())?.session?.accessToken ?? ''
  const post = async (path: string, body: object): Promise<string> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${bearer}` }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${text}`)
    return text
  }
  const { id } = JSON.parse(await post('/v1/federations', { name: 'bench' })) as { id: string }
  await seedFederation(service, id, devices)
  const rounds = `/v1/federations/${id}/rounds`
  return {
    async open() {
      const { round } = JSON.parse(await post(rounds, {})) as { round: number }
      return `${rounds}/${round}`
    },
    async ask(round) {
      const { refused } = roundKeysAnswer.parse(JSON.parse(await post(`${round}/keys`, {})))
      if (refused.length > 0) throw new Error(`${refused.length} devices got no key: ${refused[0]?.code}`)
    },
    async close(round) {
      await post(`${round}/close`, {})
    },
  }
}

async function seedFederation(service: BenchService, id: string, count: number): Promise<void> {
  const crypto = createNativePrimitives()
  const sql = await service.connectDatabase()
  try {
    const bucket = bucketAt(Date.now())
    const last = bucketAt(bucket * BUCKET_MS + SESSION_MS)
    const epochKeys = await openEpochKeys(service, crypto, { first: bucket, last })
    const organizationId = await findOrganization(sql)
    await seedMembers(sql, crypto, { organizationId, id }, { count, bucket, epochKeys })
    await sql.query('vacuum analyze principal, identity_key, session, attestation_result, federation_member')
    await sql.query('checkpoint')
  } finally {
    await sql.end()
  }
}

interface Sample {
  ms: number
  apiMs: number
  allMs: number
}

async function measureCall(service: BenchService, ask: () => Promise<void>): Promise<Sample> {
  const readApiMs = startCpuMeter([service.pid])
  const readAllMs = startCpuMeter([service.pid], true)
  const startedAt = performance.now()
  await ask()
  return { ms: performance.now() - startedAt, apiMs: readApiMs(), allMs: readAllMs() }
}

/** Of the requests that are sent one after the other while a call runs, the one that took longest. */
async function measureOthers(service: BenchService, ask: () => Promise<void>): Promise<number> {
  let isOver = false
  const asking = ask().finally(() => {
    isOver = true
  })
  let longestMs = 0
  while (!isOver) {
    const startedAt = performance.now()
    await (await fetch(`${service.url}/live`)).arrayBuffer()
    longestMs = Math.max(longestMs, performance.now() - startedAt)
  }
  await asking
  return longestMs
}

/** A session is of the bucket in which it was seeded, and the calls of its first epoch. */
async function waitForFreshBucket(progress: (message: string) => void): Promise<void> {
  const left = BUCKET_MS - (Date.now() % BUCKET_MS)
  if (left >= LEAST_OF_BUCKET_MS) return
  progress(`rounds: waits ${Math.ceil(left / 1000)} s for the next bucket`)
  await new Promise((resolve) => setTimeout(resolve, left + 1_000))
}
