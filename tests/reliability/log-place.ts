import type { ClientConfig } from 'pg'
import { type Database, openDatabase } from '../../database/open.ts'
import { logOrigin } from '../../protocol/log/checkpoint.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { LogWriterParts } from '../../workers/sequencer/log-writer.ts'
import { type AuditSigners, createCheckpointSigner } from '../../workers/sequencer/sign-checkpoint.ts'
import { recordingSigners } from './signed-records.ts'

export const crypto = createNativePrimitives()
export const writeEvent = createEventWriter(crypto)
export const TRUST_DOMAIN = 'test.example'
export const clock: Clock = { now: Date.now, offsetMs: () => 0, measuredAt: Date.now, measure: async () => {} }

/** What any process needs to write a log of a test; as JSON it goes to others. */
export interface LogPlace {
  login: ClientConfig
  /** 32 bytes in hexadecimal digits. */
  seed: string
  has87: boolean
  checkpointFile: string
  /** See signed-records.ts. */
  signedFile: string
}

export function signersOf(place: LogPlace): AuditSigners {
  return recordingSigners(crypto, Buffer.from(place.seed, 'hex'), place.signedFile, { has87: place.has87 })
}

/** What `createLogWriter` and `startSequencer` take. `database`: as qflare_sequencer. */
export function writerPartsOf(place: LogPlace, database: Database): LogWriterParts {
  const origin = logOrigin(TRUST_DOMAIN)
  const signer = createCheckpointSigner(crypto, origin, signersOf(place))
  return { database, crypto, clock, writeEvent, signer, origin, checkpointFile: place.checkpointFile }
}

export function openAsSequencer(connection: ClientConfig, answerWithinMs = 35_000): Database {
  return openDatabase({
    connection,
    role: 'qflare_sequencer',
    maxConnections: 3,
    answerWithinMs,
    onConnectionLost: () => {},
  })
}
