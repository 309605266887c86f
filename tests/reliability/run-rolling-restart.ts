import type { TestBalancer } from '../support/load-balancer.ts'
import { type ClientLoad, type ClientLoadReport, startClientLoad } from './client-load.ts'
import { type Fleet, type FleetOptions, nodeNames, startFleet } from './fleet.ts'
import { requireLog } from './fleet-log.ts'
import { type Attempt, createLedger, type LedgerCounts } from './ledger.ts'
import { createLoad } from './load.ts'

/** What a process that stops gives the balancer to notice. */
const DRAIN_SECONDS = '1'

export interface RollingRestartReport extends ClientLoadReport {
  /** When every process and the balancer had been restarted, and nothing else had been done. */
  rolled: {
    failures: Record<string, number>
    /** Requests of clients that send nothing twice, by their status; 0: no answer. */
    statuses: Record<number, number>
    /** What processes logged as errors. */
    errors: string[]
  }
  /** Of those clients. */
  ledger: LedgerCounts
}

/**
 * Restarts every process of a fleet behind HAProxy one after the other, and HAProxy, while everybody calls; then does what is worse,
 * and after each of it everybody goes on. Throws unless the log holds all that was acknowledged, once.
 */
export async function runRollingRestart(options: {
  fleet?: FleetOptions
  worse: readonly ((fleet: Fleet) => Promise<void>)[]
}): Promise<RollingRestartReport> {
  const { env = {}, ...rest } = options.fleet ?? {}
  const fleet = await startFleet({ ...rest, env: { QFLARE_DRAIN_SECONDS: DRAIN_SECONDS, ...env } })
  try {
    const balancer = await fleet.startBalancer()
    await balancer.untilAllServe()
    const adminToken = await fleet.adminToken()
    const load = await startClientLoad({ url: balancer.url, adminToken })
    const plain = await startPlainLoad(balancer.url, adminToken)
    await load.settled()
    await rollThrough(fleet, balancer, load)
    const rolled = {
      failures: { ...load.report.failures },
      statuses: { ...plain.statuses },
      errors: fleet.errors(),
    }
    for (const [at, fault] of options.worse.entries()) {
      // Its clients take nobody's word for that a session is over.
      if (at === options.worse.length - 1) await plain.stop()
      await fault(fleet)
      await load.settled()
    }
    await plain.stop()
    const report = await load.stop()
    const sql = await fleet.connect()
    try {
      const ledger = plain.settle(await requireLog(sql, report.sessionIds))
      return { ...report, rolled, ledger }
    } finally {
      await sql.end()
    }
  } finally {
    await fleet.close()
  }
}

async function rollThrough(fleet: Fleet, balancer: TestBalancer, load: ClientLoad): Promise<void> {
  for (const name of nodeNames) {
    await fleet.restart(name)
    await balancer.untilAllServe()
  }
  await balancer.reload()
  await load.settled()
}

/** Clients that send every request once and write down what was answered, as `load.ts` has them. */
async function startPlainLoad(url: string, adminToken: string) {
  const ledger = createLedger()
  const own = new Set<string>()
  const statuses: Record<number, number> = {}
  const noting = {
    ...ledger,
    add(attempt: Attempt) {
      own.add(attempt.requestId)
      ledger.add(attempt)
    },
  }
  const onAnswer = (status: number) => void (statuses[status] = (statuses[status] ?? 0) + 1)
  const load = await createLoad(noting, { url, adminToken, clients: 1, onAnswer })
  const over = new AbortController()
  const running = load.run(url, over.signal)
  running.catch(() => over.abort())
  return {
    statuses,
    async stop() {
      over.abort()
      await running
    },
    settle(events: Awaited<ReturnType<typeof requireLog>>): LedgerCounts {
      // The others have no ledger: of them the tables and the sessions are compared.
      ledger.settle(events.filter(({ requestId }) => own.has(requestId)))
      return ledger.counts()
    },
  }
}
