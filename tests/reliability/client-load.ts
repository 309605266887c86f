import { setTimeout as sleep } from 'node:timers/promises'
import { openAuditor } from '../../client/auditor.ts'
import type { QflareDevice } from '../../client/device.ts'
import { enrollDevice } from '../../client/enroll-device.ts'
import { createMemoryStore } from '../../client/memory-store.ts'
import { openOperator } from '../../client/operator.ts'
import { type Wait, wait } from '../../client/wait.ts'
import { verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import { verifyConsistency } from '../../protocol/log/merkle.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'

const crypto = createNativePrimitives()
/** What anybody may need until what failed is done, whatever was taken away under it. */
const MENDED_WITHIN_MS = 90_000
const SETTLED_WITHIN_MS = 120_000
const HEARD_WITHIN_MS = 60_000
const BACKOFF = { firstMs: 50, longestMs: 2_000 }

export interface ClientLoadReport {
  /** How often each of them did what it does. */
  done: Record<string, number>
  /** Calls of the library that were rejected, by who made them and the code. */
  failures: Record<string, number>
  /** Requests that the library sent again by itself. */
  retriesOfLibrary: number
  /** The sessions that devices believe to have had. */
  sessionIds: string[]
}

export interface ClientLoad {
  report: ClientLoadReport
  /** When everybody has done what they do twice more. */
  settled(): Promise<void>
  /** Ends the load. Rejects with what no retry has mended, and with what is wrong. */
  stop(): Promise<ClientLoadReport>
}

/** `isRetry`: the one before failed, and whoever it was may have lost its session. */
interface Activity {
  name: string
  step(isRetry: boolean): Promise<void>
}

/** Everybody who calls the service, by the library and at one address: devices, a coordinator with members, an operator, an auditor. */
export async function startClientLoad({ url, adminToken }: { url: string; adminToken: string }): Promise<ClientLoad> {
  const report: ClientLoadReport = { done: {}, failures: {}, retriesOfLibrary: 0, sessionIds: [] }
  const over = new AbortController()
  const waitAndCount: Wait = (ms, signal) => {
    report.retriesOfLibrary += 1
    return wait(ms, signal)
  }
  const http = { url, timeoutMs: 10_000, wait: waitAndCount }
  const operator = openOperator({ ...http, apiToken: adminToken })
  const enroll = async (name: string, kind: 'device' | 'coordinator' = 'device'): Promise<QflareDevice> => {
    const { token } = await operator.createEnrollmentToken({ kind })
    return enrollDevice({ ...http, token, store: createMemoryStore(), name, kind })
  }

  const exchange = async (device: QflareDevice) => {
    const { session } = await device.exchange()
    if (session !== undefined) report.sessionIds.push(session.sessionId)
  }

  async function exchanging(name: string): Promise<Activity> {
    const device = await enroll(name)
    return {
      name,
      async step() {
        await exchange(device)
        await device.attest()
        await device.renewToken()
      },
    }
  }

  /** Rounds whose keys every member has too; and a member that is suspended and resumed, of which the coordinator hears. */
  async function coordinating(): Promise<Activity[]> {
    const coordinator = await enroll('coordinator', 'coordinator')
    const members = [await enroll('member 1'), await enroll('member 2')]
    const victim = await enroll('member 3')
    const parties = [coordinator, ...members]
    for (const party of [...parties, victim]) await exchange(party)
    const idOf = async (device: QflareDevice) => (await device.status()).deviceId
    const deviceIds = await Promise.all(members.map(idOf))
    const victimId = await idOf(victim)
    const federations = coordinator.federations()
    const { id } = await federations.createFederation({ name: 'fleet', policy: 'development' })
    for (const deviceId of [...deviceIds, victimId]) await federations.addMember(id, deviceId)
    const heard = followVictim(coordinator, victimId, over.signal)
    return [
      {
        name: 'coordinator',
        async step(isRetry) {
          if (isRetry) for (const party of parties) await exchange(party)
          for (const member of members) await member.attest()
          const round = await coordinator.openRound(id, { minParticipants: 1 })
          const { keys, refused } = await coordinator.roundKeys(id, round, { deviceIds })
          if (refused.length > 0) throw new Error(`refused: ${refused.map(({ code }) => code).join(', ')}`)
          for (const [at, member] of members.entries()) {
            const { key } = await member.roundKey(id, round)
            const given = keys.find(({ deviceId }) => deviceId === deviceIds[at])
            if (given === undefined || !crypto.equal(given.key, key)) throw new Error('a member has another key')
          }
          await coordinator.closeRound(id, round)
        },
      },
      {
        name: 'operator',
        async step() {
          await enroll(`device ${report.done['operator']}`)
          await operator.updateDevice(victimId, { metadata: { turn: report.done['operator'] ?? 0 } })
          await operator.suspendDevice(victimId)
          await heard.until('SUSPENDED')
          await operator.resumeDevice(victimId)
          await heard.until('ACTIVE')
          await operator.listDevices()
        },
      },
    ]
  }

  async function auditing(): Promise<Activity> {
    const auditor = openAuditor({ ...http, apiToken: adminToken })
    const { keys } = await auditor.fetchAuditKeys()
    let before: TreeHead | undefined
    return {
      name: 'auditor',
      async step() {
        const head = verifyCheckpoint(crypto, await auditor.getCheckpoint(), { log: keys })
        if (before !== undefined) {
          // One of the two may be behind the other by a moment, never in another history.
          const [older, newer] = before.size <= head.size ? [before, head] : [head, before]
          const { hashes } = await auditor.getConsistency({ from: older.size, to: newer.size })
          verifyConsistency(crypto, older, newer, hashes)
        }
        before = head
        await auditor.listEvents({ limit: 20 })
      },
    }
  }

  const activities = [
    await exchanging('device 1'),
    await exchanging('device 2'),
    ...(await coordinating()),
    await auditing(),
  ]
  for (const { name } of activities) report.done[name] = 0
  const runs = activities.map((activity) => repeat(activity, report, over.signal))
  let failed: { error: unknown } | undefined
  for (const run of runs) {
    run.catch((error: unknown) => {
      failed ??= { error }
      over.abort()
    })
  }
  return {
    report,
    async settled() {
      const before = { ...report.done }
      const deadline = performance.now() + SETTLED_WITHIN_MS
      // The one under way may have been answered before: two of each.
      while (!activities.every(({ name }) => (report.done[name] ?? 0) >= (before[name] ?? 0) + 2)) {
        if (failed !== undefined) throw failed.error
        if (performance.now() > deadline) throw new Error(`the load does not go on: ${JSON.stringify(report.done)}`)
        await sleep(20)
      }
    },
    async stop() {
      over.abort()
      await Promise.all(runs)
      return report
    },
  }
}

async function repeat({ name, step }: Activity, report: ClientLoadReport, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedAt = performance.now()
    for (let attempt = 0; ; attempt++) {
      try {
        await step(attempt > 0)
        break
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        const what = `${name}: ${code}`
        report.failures[what] = (report.failures[what] ?? 0) + 1
        if (performance.now() > startedAt + MENDED_WITHIN_MS || code === 'log_invalid') throw error
        await sleep(Math.min(BACKOFF.longestMs, BACKOFF.firstMs * 2 ** attempt) * (0.5 + Math.random() / 2))
      }
    }
    report.done[name] = (report.done[name] ?? 0) + 1
    await sleep(100)
  }
}

/** What the coordinator hears of one device, for as long as the load lasts. */
function followVictim(coordinator: QflareDevice, victimId: string, signal: AbortSignal) {
  let status: string = 'ACTIVE'
  let failed: { error: Error } | undefined
  coordinator
    .followRevocations({
      signal,
      onSnapshot(devices) {
        status = devices.find(({ deviceId }) => deviceId === victimId)?.status ?? 'ACTIVE'
      },
      onChange(change) {
        if (change.deviceId === victimId) status = change.status
      },
    })
    .catch((error: Error) => (failed = { error }))
  return {
    async until(wanted: string): Promise<void> {
      const deadline = performance.now() + HEARD_WITHIN_MS
      while (status !== wanted && !signal.aborted) {
        if (failed !== undefined) throw failed.error
        if (performance.now() > deadline) throw new Error(`the coordinator does not hear that a member is ${wanted}`)
        await sleep(20)
      }
    },
  }
}
