import { setTimeout as sleep } from 'node:timers/promises'
import { type Checkpoint, parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { formatNote, parseNote } from '../../protocol/log/signed-note.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Logger } from '../../runtime/logger.ts'
import { askWitness, type WitnessAddress } from './ask-witness.ts'

/** A checkpoint of this log. `text`: the signed note; lines of others than the log are not sent. */
export interface SignedCheckpoint {
  size: number
  text: string
}

/** `C` is what the log knows its checkpoints by. */
export interface CollectorParts<C extends SignedCheckpoint> {
  crypto: Primitives
  witnesses: readonly WitnessAddress[]
  /** Undefined: there is none yet. */
  newestCheckpoint(): Promise<C | undefined>
  /** 0 < `from` < `to`. */
  proveConsistency(from: number, to: number): Promise<readonly Uint8Array[]>
  /** `line` is verified. The same may come again after a failure. */
  store(checkpoint: C, witness: WitnessAddress, line: string): Promise<void>
  logger: Logger
}

/** A witness that says it holds another log under our name: ours went back, or there are two. */
export interface WitnessAlarm {
  witness: string
  reason: string
}

export interface CosignatureCollector {
  /** Those that hold now. A witness can lie about this, and so can who stands between. */
  alarms(): readonly WitnessAlarm[]
  close(): Promise<void>
}

/** Between the end of a request and the next one to the same witness, at least. */
const PACE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000

/**
 * Asks each witness for cosignatures of the newest checkpoint, again when there is a newer one, until it is closed. A witness that
 * fails delays nobody else and is asked again, after a minute at most.
 */
export function collectCosignatures<C extends SignedCheckpoint>(parts: CollectorParts<C>): CosignatureCollector {
  const closing = new AbortController()
  const followers = parts.witnesses.map((witness) => createFollower(parts, witness, closing.signal))
  const running = followers.map((follower) => follower.run())
  return {
    alarms: () => followers.flatMap((follower) => follower.alarm() ?? []),
    async close() {
      closing.abort()
      await Promise.all(running)
    },
  }
}

class OtherLogError extends Error {}

type Standing = 'unknown' | 'cosigns' | 'fails' | 'alarm'

function createFollower<C extends SignedCheckpoint>(
  parts: CollectorParts<C>,
  witness: WitnessAddress,
  signal: AbortSignal,
) {
  const { crypto, logger } = parts
  const { name } = witness.key
  /** Of the tree that the witness holds, as far as is known. */
  let heldSize = 0
  let cosigned: string | undefined
  let failures = 0
  let standing: Standing = 'unknown'
  let reason = ''

  async function reply({ checkpoint, note }: Asked) {
    // More than ours ever had, or ours went back.
    if (heldSize > checkpoint.size) throw new OtherLogError(`it holds ${heldSize} entries, we have ${checkpoint.size}`)
    const isProved = heldSize > 0 && heldSize < checkpoint.size
    const proof = isProved ? await parts.proveConsistency(heldSize, checkpoint.size) : []
    const request = { oldSize: heldSize, proof, checkpoint: note }
    const answer = await askWitness(crypto, witness, checkpoint, request, signal)
    if (answer.kind === 'inconsistent') {
      throw new OtherLogError(`the tree of ${heldSize} entries that it holds is not the beginning of ours`)
    }
    return answer
  }

  async function obtain(asked: Asked): Promise<string | undefined> {
    for (let tries = 1; ; tries++) {
      const answer = await reply(asked)
      if (answer.kind === 'cosigned') {
        heldSize = asked.checkpoint.size
        return answer.line
      }
      if (answer.heldSize === heldSize) {
        if (heldSize === asked.checkpoint.size) throw new OtherLogError(`it holds another tree of ${heldSize} entries`)
        throw new Error('it refuses the size that it says it holds')
      }
      heldSize = answer.heldSize
      // Another process of ours may have shown it more: the next look at the log tells that from another log.
      if (heldSize > asked.checkpoint.size) return undefined
      if (tries === 2) throw new Error('it holds another size at each request')
      await sleep(PACE_MS, undefined, { signal })
    }
  }

  /** One look at the log, and where there is something new, what it takes to have it cosigned. */
  async function turn(): Promise<void> {
    const newest = await parts.newestCheckpoint()
    if (newest === undefined) return
    const asked = toAsked(newest)
    if (asked.note === cosigned) return
    const line = await obtain(asked)
    if (line === undefined) return
    await parts.store(newest, witness, line)
    cosigned = asked.note
    stand('cosigns')
  }

  function stand(now: Standing, why = ''): void {
    reason = why
    if (now === standing) return
    standing = now
    if (now === 'cosigns') logger.info(`witness ${name} cosigns`)
    else if (now === 'alarm') logger.error(`witness ${name} holds another log: ${reason}`)
    else logger.warn(`witness ${name} gives no cosignature: ${reason}`)
  }

  return {
    alarm: (): WitnessAlarm | undefined => (standing === 'alarm' ? { witness: name, reason } : undefined),
    async run(): Promise<void> {
      while (!signal.aborted) {
        try {
          await turn()
          failures = 0
        } catch (error) {
          if (signal.aborted) return
          failures += 1
          if (error instanceof OtherLogError) {
            stand('alarm', error.message)
            // It is asked anew: what it holds may be another tree by then.
            heldSize = 0
          } else if (standing !== 'alarm') {
            // An alarm is over with a cosignature, not with an outage.
            stand('fails', describe(error))
          }
        }
        await sleep(pauseMs(failures), undefined, { signal }).catch(() => {})
      }
    },
  }
}

interface Asked {
  checkpoint: Checkpoint
  /** With the signatures of the log only: those of witnesses come and go. */
  note: string
}

function toAsked({ text }: SignedCheckpoint): Asked {
  const { body, signatures } = parseNote(text)
  const checkpoint = parseCheckpointBody(body)
  const own = signatures.filter(({ name }) => name === checkpoint.origin)
  const note = formatNote(
    body,
    own.map(({ line }) => line),
  )
  return { checkpoint, note }
}

/** Exponential with jitter, so that the logs of a witness that was away do not come back together. */
function pauseMs(failures: number): number {
  if (failures === 0) return PACE_MS
  const longest = Math.min(LONGEST_PAUSE_MS, PACE_MS * 2 ** failures)
  return PACE_MS + Math.random() * (longest - PACE_MS)
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  // Of a connection that failed, fetch says why in the cause.
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message
}
