import { setTimeout as sleep } from 'node:timers/promises'
import type { HeldLock } from '../../database/hold-lock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { AuditLogError } from './audit-log-error.ts'
import { createLogWriter, type LogWriter, type LogWriterParts, MAX_BATCH } from './log-writer.ts'
import { type OpenLogParts, openLog } from './open-log.ts'

/** An event waits this long for others to share its signature, at most. */
const BATCH_MS = 250
/** An idle log signs a fresh checkpoint, so that readers see that it is alive. */
const IDLE_CHECKPOINT_MS = 60_000
/** What waits in the outbox when it is told to stop is taken along, for so long; the rest is safe where it is. */
const DRAIN_MS = 5_000
const CANDIDATE_RETRY_MS = 1_000
const MAX_BACKOFF_MS = 30_000

export interface SequencerParts extends LogWriterParts, Omit<OpenLogParts, 'keys' | 'acceptLostCheckpoint'> {
  /** Undefined while another process has it. */
  lock: () => Promise<HeldLock | undefined>
  logger: Logger
  metrics: Metrics
  /** Ours is not the log that was signed: this process cannot go on. */
  onFatal: (error: AuditLogError) => void
}

export interface Sequencer {
  /** False of a candidate, which waits for its turn. */
  isSequencer(): boolean
  /** True of a candidate too. */
  isHealthy(): boolean
  /** Takes what waits in the outbox along, for five seconds at most. */
  close(): Promise<void>
}

/**
 * The one writer of the log, or a candidate for it. When this resolves, the log was opened and a checkpoint published, or
 * another process does it. Throws AuditLogError when the log is not the one that was signed.
 */
export async function startSequencer(parts: SequencerParts, acceptLostCheckpoint: boolean): Promise<Sequencer> {
  const stopping = new AbortController()
  let isHealthy = true
  let isSequencer = false
  let failures = 0

  /** Undefined when another process is the sequencer. */
  async function begin(mayAcceptLoss: boolean): Promise<{ lock: HeldLock; writer: LogWriter } | undefined> {
    const lock = await parts.lock()
    if (lock === undefined) return undefined
    try {
      const options = { ...parts, keys: parts.signer.keys, acceptLostCheckpoint: mayAcceptLoss }
      const writer = createLogWriter(parts, await openLog(options, parts.clock.now()))
      // Brings everything in line with what is committed, whatever happened in the middle of the last batch.
      await writer.publish()
      parts.logger.info('this process is the sequencer of the audit log', { count: writer.size() })
      return { lock, writer }
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async function run(first: Awaited<ReturnType<typeof begin>>): Promise<void> {
    let turn = first
    while (!stopping.signal.aborted) {
      try {
        turn ??= await begin(false)
        isSequencer = turn !== undefined
        isHealthy = true
        if (turn !== undefined) await write(parts, turn, stopping.signal, () => (failures = 0))
        else await wait(CANDIDATE_RETRY_MS)
      } catch (error) {
        isHealthy = isSequencer = false
        if (error instanceof AuditLogError) {
          parts.onFatal(error)
          return
        }
        failures += 1
        const backoffMs = Math.min(MAX_BACKOFF_MS, 250 * 2 ** Math.min(failures, 10))
        parts.logger.error('the sequencer failed and opens the log again', { durationMs: backoffMs }, error)
        await turn?.lock.release()
        turn = undefined
        await wait(backoffMs)
      }
    }
    await turn?.lock.release()
  }

  const wait = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {})
  const running = run(await begin(acceptLostCheckpoint))
  return {
    isSequencer: () => isSequencer,
    isHealthy: () => isHealthy,
    async close() {
      stopping.abort()
      await running
    },
  }
}

/** Until it is to stop and the outbox is empty, or for some seconds more; throws when anything fails. */
async function write(
  parts: SequencerParts,
  { lock, writer }: { lock: HeldLock; writer: LogWriter },
  stop: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  let publishedAt = performance.now()
  let stoppedAt: number | undefined
  for (;;) {
    if (!lock.isHeld()) throw new Error('The lock of the sequencer broke.')
    const startedAt = performance.now()
    const { entries, refused } = await writer.append()
    if (refused > 0) parts.logger.error('rows of the outbox were no events and were not logged', { count: refused })
    // By both clocks: one that jumped ahead would keep the log silent until time has caught up with it.
    const isIdle =
      parts.clock.now() >= writer.signedAt() + IDLE_CHECKPOINT_MS || startedAt >= publishedAt + IDLE_CHECKPOINT_MS
    if (entries.length > 0 || isIdle) {
      await writer.publish()
      publishedAt = performance.now()
      for (const { at } of entries) parts.metrics.auditMergeDelaySeconds.observe((parts.clock.now() - at) / 1000)
    }
    onProgress()
    if (stop.aborted) stoppedAt ??= performance.now()
    if (stoppedAt !== undefined && performance.now() > stoppedAt + DRAIN_MS) return
    if (entries.length === MAX_BATCH) continue
    if (stop.aborted) return
    const restMs = BATCH_MS - (performance.now() - startedAt)
    if (restMs > 0) await sleep(restMs, undefined, { signal: stop }).catch(() => {})
  }
}
