import type { Database } from '../../database/open.ts'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { createLogWriter, type LogWriter, type WriterStep } from '../../workers/sequencer/log-writer.ts'
import { openLog } from '../../workers/sequencer/open-log.ts'
import { type AuditSigners, createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'

export interface TestLog {
  /** What it was opened with, to open it again. */
  options: TestLogOptions
  keys: VerifierKey[]
  writer: LogWriter
  /** Takes the whole outbox into the log, and publishes once at the end. */
  sequence(): Promise<void>
}

export interface TestLogOptions {
  /** As qflare_sequencer. */
  database: Database
  signers: AuditSigners
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  trustDomain: string
  checkpointFile: string
  acceptLostCheckpoint?: boolean
  onStep?: (step: WriterStep) => Promise<void>
}

/** The real writer of the log, a step at a time; it becomes the sequencer, as `startSequencer` does, but without the lock. */
export async function openTestLog(options: TestLogOptions): Promise<TestLog> {
  const origin = logOrigin(options.trustDomain)
  const signer = createCheckpointSigner(options.crypto, origin, options.signers)
  const parts = { ...options, origin, signer, keys: signer.keys }
  const opened = await openLog(
    { ...parts, acceptLostCheckpoint: options.acceptLostCheckpoint ?? false },
    options.clock.now(),
  )
  const writer = createLogWriter(parts, opened)
  await writer.publish()
  return {
    options,
    keys: signer.keys,
    writer,
    async sequence() {
      for (;;) if ((await writer.append()).entries.length === 0) break
      await writer.publish()
    },
  }
}
