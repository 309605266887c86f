import { ProtocolError } from '../protocol/errors.ts'
import {
  checkpointBody,
  cosignatureLine,
  cosignedMessage,
  parseCheckpointBody,
  type VerifiedCheckpoint,
  verifyCheckpoint,
} from '../protocol/log/checkpoint.ts'
import { emptyRoot, verifyConsistency } from '../protocol/log/merkle.ts'
import { formatNote, parseNote } from '../protocol/log/signed-note.ts'
import type { VerifierKey } from '../protocol/log/verifier-key.ts'
import { parseWitnessRequest, type WitnessRequest } from '../protocol/log/witness-request.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { signatureContexts } from '../protocol/suites.ts'
import { type BoundedQueue, createBoundedQueue, QueueFullError } from '../runtime/bounded-queue.ts'
import type { Logger } from '../runtime/logger.ts'
import type { FollowedLogs } from './followed-logs.ts'
import type { LogState, LogStates } from './log-states.ts'
import type { WitnessKey } from './witness-key.ts'

/** As C2SP tlog-witness says them, but for 503: too many wait for this log. */
export interface WitnessAnswer {
  status: 200 | 400 | 403 | 404 | 409 | 422 | 503
  contentType: 'text/plain; charset=utf-8' | 'text/x.tlog.size'
  body: string
}

export interface Witness {
  /** `text` is the body of `add-checkpoint`, from an attacker perhaps. Rejects where the state could not be stored. */
  addCheckpoint(text: string): Promise<WitnessAnswer>
}

export interface WitnessParts {
  crypto: Primitives
  key: WitnessKey
  logs: FollowedLogs
  states: LogStates
  /** Milliseconds since the Unix epoch. */
  now: () => number
  logger: Logger
}

/** A log of which this witness has the state in memory, as the file has it. */
interface FollowedLog {
  keys: readonly VerifierKey[]
  /** Check and store are one step for everybody else: one request at a time. */
  queue: BoundedQueue
  state: LogState | undefined
  /** Of `state`; undefined after a start. */
  line: string | undefined
  /** Of a proof that does not verify, once for each state: anybody may send one. */
  hasWarned: boolean
}

const MAX_WAITING = 64
/** What clocks differ by without anybody's fault. */
const AHEAD_MS = 60_000

/** Loads what was cosigned before. Throws `file_unusable`. */
export async function createWitness(parts: WitnessParts): Promise<Witness> {
  const logs = new Map<string, FollowedLog>()
  for (const [origin, keys] of parts.logs) {
    const state = await parts.states.load(origin)
    if (state !== undefined && state.cosignedAtSeconds * 1000 > parts.now() + AHEAD_MS) {
      const until = new Date(state.cosignedAtSeconds * 1000).toISOString()
      parts.logger.warn(`${origin} was cosigned as of ${until}, and will be until this clock is there`)
    }
    logs.set(origin, {
      keys,
      queue: createBoundedQueue(1, MAX_WAITING),
      state,
      line: undefined,
      hasWarned: false,
    })
  }
  return {
    async addCheckpoint(text) {
      const asked = parse(text)
      if (asked instanceof ProtocolError) return answer(400, asked.message)
      const { request, origin } = asked
      const log = logs.get(origin)
      if (log === undefined) return answer(404, 'This witness does not follow the log of this origin.')
      const checkpoint = verify(parts.crypto, request, log)
      if (checkpoint instanceof ProtocolError) return answer(403, checkpoint.message)
      if (request.oldSize > checkpoint.size) return answer(400, 'The old size is larger than the checkpoint.')
      try {
        return await log.queue.run(() => checkAndStore(parts, log, request, checkpoint))
      } catch (error) {
        if (error instanceof QueueFullError) return answer(503, 'Too many requests wait for this log.')
        throw error
      }
    },
  }
}

function parse(text: string): { request: WitnessRequest; origin: string } | ProtocolError {
  return orError(() => {
    const request = parseWitnessRequest(text)
    return { request, origin: parseCheckpointBody(parseNote(request.checkpoint).body).origin }
  })
}

function verify(crypto: Primitives, { checkpoint }: WitnessRequest, { keys }: FollowedLog) {
  return orError<VerifiedCheckpoint>(() => verifyCheckpoint(crypto, checkpoint, { log: keys }))
}

/** Runs alone for its log. The cosignature is made after the state that it speaks of is durable. */
async function checkAndStore(
  { crypto, key, states, now, logger }: WitnessParts,
  log: FollowedLog,
  { oldSize, proof }: WitnessRequest,
  checkpoint: VerifiedCheckpoint,
): Promise<WitnessAnswer> {
  const { origin, size, root } = checkpoint
  const held = log.state ?? { origin, size: 0, root: emptyRoot(crypto), cosignedAtSeconds: 0 }
  const note = noteOfLog(checkpoint)
  const isSameSize = size === held.size
  // Whatever the request says of the old size: two trees are two trees.
  if (isSameSize && !crypto.equal(root, held.root)) {
    const isNews = log.state !== undefined && (await states.keepConflict(log.state, note))
    if (isNews)
      logger.error(`${origin} signed two trees of size ${size}; both checkpoints are kept in a file .conflict`)
    return conflict(held.size)
  }
  if (oldSize !== held.size) return conflict(held.size)
  const problem = orError(() => verifyConsistency(crypto, held, checkpoint, proof))
  if (problem instanceof ProtocolError) {
    if (!log.hasWarned) logger.warn(`refused ${origin}, from size ${oldSize} to ${size}: ${problem.message}`)
    log.hasWarned = true
    return answer(422, problem.message)
  }
  // A clock that was set back does not take back what was said of a later time.
  const cosignedAtSeconds = Math.max(Math.floor(now() / 1000), held.cosignedAtSeconds)
  // What would be said again word for word is not worth a write: anybody may send a checkpoint that is known.
  const isSaid = isSameSize && cosignedAtSeconds === held.cosignedAtSeconds
  if (isSaid && log.line !== undefined) return answer(200, log.line)

  const state = { origin, size, root, cosignedAtSeconds, note }
  log.line = undefined
  await states.store(state)
  log.state = state
  log.hasWarned = false
  log.line = await cosign(key, state)
  if (!isSameSize) logger.info(`cosigned ${origin} at size ${size}`)
  return answer(200, log.line)
}

/** Without what others, or nobody, signed. */
function noteOfLog(checkpoint: VerifiedCheckpoint): string {
  return formatNote(
    checkpointBody(checkpoint),
    checkpoint.signatures.map(({ line }) => line),
  )
}

async function cosign({ signer, verifier }: WitnessKey, state: LogState): Promise<string> {
  const message = cosignedMessage(verifier.name, state.cosignedAtSeconds, state)
  const signature = await signer.sign(message, signatureContexts.empty)
  return cosignatureLine(verifier, state.cosignedAtSeconds, signature)
}

function conflict(heldSize: number): WitnessAnswer {
  return { status: 409, contentType: 'text/x.tlog.size', body: `${heldSize}\n` }
}

function answer(status: WitnessAnswer['status'], line: string): WitnessAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${line}\n` }
}

function orError<T>(work: () => T): T | ProtocolError {
  try {
    return work()
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
}
