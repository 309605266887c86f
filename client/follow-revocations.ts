import type { z } from 'zod'
import { type BarredStatus, revocationChange, revocationSnapshot } from '../protocol/revocations.ts'
import { isAnswerLost, QflareError } from './errors.ts'
import type { HttpClient } from './http.ts'
import { readServerEvents, type ServerEvent } from './read-server-events.ts'
import { backoffMs, spreadRetryAfterMs, type Wait } from './wait.ts'

/** The service says something every ten seconds. */
const SILENCE_MS = 30_000
/** Of a snapshot, which is kept until it is whole. */
const MAX_DEVICES = 1_000_000
const OUTAGE = { firstMs: 500, longestMs: 30_000 }
/** A refusal ends with a new session, or is for people to lift. */
const REFUSAL = { firstMs: 5_000, longestMs: 60_000 }

export interface BarredDevice {
  deviceId: string
  status: BarredStatus
}

export interface RevocationChange {
  deviceId: string
  /** ACTIVE: it may take part again. */
  status: BarredStatus | 'ACTIVE'
  /** Milliseconds since the Unix epoch. */
  changedAt: number
}

export interface FollowRevocationsOptions {
  /** Ends it. */
  signal: AbortSignal
  /** Everybody who may not take part now: at the beginning, and when so much was missed that it begins anew. What it throws ends it. */
  onSnapshot: (devices: BarredDevice[]) => void | Promise<void>
  /** Each change after that, in the order in which they came about; the same may be said twice. What it throws ends it. */
  onChange: (change: RevocationChange) => void | Promise<void>
  /** After every attempt that failed; the next follows `retryInMs` later. What it throws ends it. */
  onError?: ((error: QflareError, retryInMs: number) => void | Promise<void>) | undefined
}

export interface FollowRevocationsParts {
  http: HttpClient
  bearer: () => Promise<string>
  wait: Wait
  /** A session is renewed by others meanwhile: what is refused is tried again. What an API token is refused with is final. */
  isInSession: boolean
  /** Of a snapshot; more is `bad_answer`. */
  maxDevices?: number
}

/**
 * Which devices may not take part, until `signal` is aborted; it resolves then. Begins again behind what was heard last when the
 * connection, the token or the server is gone. Rejects with what a callback throws, and with what trying again cannot help.
 */
export async function followRevocations(
  parts: FollowRevocationsParts,
  options: FollowRevocationsOptions,
): Promise<void> {
  const { signal, onError } = options
  const heard: Heard = { last: undefined, devices: [], failures: 0 }
  while (!signal.aborted) {
    const failed = await listen(parts, options, heard)
    if (signal.aborted) return
    const pauseMs = pauseAfter(failed, ++heard.failures)
    if (failed !== undefined) {
      if (!isPassing(failed, parts.isInSession)) throw failed
      await onError?.(failed, pauseMs)
    }
    await parts.wait(pauseMs, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}

interface Heard {
  /** The id to go on behind. */
  last: string | undefined
  /** Of a snapshot that is not whole yet. */
  devices: BarredDevice[]
  failures: number
}

/** One connection, to its end. The error that ended it; undefined where the server did, for a reason that passes. */
async function listen(
  parts: FollowRevocationsParts,
  options: FollowRevocationsOptions,
  heard: Heard,
): Promise<QflareError | undefined> {
  heard.devices = []
  const events = openEvents(parts, options.signal, heard.last)
  try {
    for (;;) {
      const event = await nextOf(events, options.signal)
      if (event === undefined || event instanceof QflareError) return event
      if (event.name === 'end') return undefined
      await tell(event, parts, options, heard)
      heard.last = event.id ?? heard.last
    }
  } finally {
    await events.return(undefined)
  }
}

async function* openEvents({ http, bearer }: FollowRevocationsParts, signal: AbortSignal, last: string | undefined) {
  const path = `/v1/revocations${last === undefined ? '' : `?after=${encodeURIComponent(last)}`}`
  const options = { bearer: await bearer(), signal, timeoutMs: SILENCE_MS }
  yield* readServerEvents(http.stream(path, 'text/event-stream', options))
}

/** What the network or the server throws is an answer here; a callback's error is not mistaken for it. */
async function nextOf(
  events: AsyncGenerator<ServerEvent>,
  signal: AbortSignal,
): Promise<ServerEvent | QflareError | undefined> {
  try {
    const { value, done } = await events.next()
    return done === true ? new QflareError('network', 'The connection ended.') : value
  } catch (error) {
    // The signal's reason, which whoever aborted knows.
    if (signal.aborted) return undefined
    if (error instanceof QflareError) return error
    throw error
  }
}

/** What it does not know it passes over, and counts for no progress: who sends nothing else is asked less and less often. */
async function tell(
  event: ServerEvent,
  { maxDevices = MAX_DEVICES }: FollowRevocationsParts,
  { onSnapshot, onChange }: FollowRevocationsOptions,
  heard: Heard,
) {
  if (event.name === 'snapshot') {
    const { devices, isLast } = parseData(event, revocationSnapshot.loose())
    heard.failures = 0
    heard.devices.push(...devices)
    if (heard.devices.length > maxDevices) {
      throw new QflareError('bad_answer', `The server names more than ${maxDevices} devices that may not take part.`)
    }
    if (!isLast) return
    await onSnapshot(heard.devices)
    heard.devices = []
  }
  if (event.name === 'change') {
    const changed = parseData(event, revocationChange.loose())
    heard.failures = 0
    await onChange(changed)
  }
}

function parseData<S extends z.ZodType>({ name, data }: ServerEvent, schema: S): z.output<S> {
  const result = schema.safeParse(parseJson(data))
  if (result.success) return result.data
  throw new QflareError('bad_answer', `An event of the server, ${name}, is malformed.`, { cause: result.error })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isPassing(error: QflareError, isInSession: boolean): boolean {
  if (isAnswerLost(error) || error.status === 503 || error.status === 429) return true
  return isInSession && isRefused(error)
}

function isRefused({ code, status }: QflareError): boolean {
  return code === 'no_session' || code === 'epoch_gone' || status === 401 || status === 409
}

function pauseAfter(failed: QflareError | undefined, failures: number): number {
  const backoff = backoffMs(failures, failed !== undefined && isRefused(failed) ? REFUSAL : OUTAGE)
  return Math.max(backoff, spreadRetryAfterMs(failed?.retryAfterSeconds ?? 0))
}
