import { setTimeout as sleep } from 'node:timers/promises'
import { roundKeysAnswer } from '../../protocol/rounds/messages.ts'
import { roundKeysContext } from '../../protocol/rounds/sealed-round-keys.ts'
import { enrollTestDevice, initiate, type TestDevice } from './api.ts'
import type { Canary } from './byte-search.ts'
import { establishKnownSession, type KnownSession } from './known-session.ts'
import { askKeys, deriveKey, makeFederation, openAnswer, openRound } from './rounds.ts'
import type { TestService } from './service.ts'

/** Sessions without a rest, in lanes beside each other, and everything of them that is secret. */
export interface KnownTraffic {
  /** Resolves when there were so many. Throws what was refused. */
  reach(sessions: number): Promise<void>
  /** From now on the end of the epoch may refuse anything. */
  expectRefusals(): void
  /** After what is under way has ended: what was secret in the epoch, each piece of which opens something of it. */
  stop(): Promise<{ sessions: number; secrets: Canary[] }>
}

const LANES = 8
/** Of so many exchanges of a lane, the last is given up halfway. */
const GIVEN_UP_EVERY = 4
const GIVEN_UP_WITHIN_MS = 10
/** Each call gives a key for every device. */
const ROUND_CALLS = 20

/**
 * A device in each lane exchanges and renews, again and again, and gives up some exchanges; a coordinator asks for the keys of a
 * round of them all meanwhile. `epoch` is that of now.
 */
export async function startKnownTraffic(service: TestService, epoch: number): Promise<KnownTraffic> {
  const coordinator = await establishKnownSession(service, await enrollTestDevice(service, { kind: 'coordinator' }))
  const devices = await Promise.all(Array.from({ length: LANES }, () => establishKnownSession(service)))
  const federation = await makeFederation(service, coordinator, devices)
  const round = await openRound(service, coordinator, federation)
  const secrets: Canary[] = []
  let sessions = 0
  let isStopped = false
  let areRefusalsExpected = false
  let refusal: Error | undefined

  function learn(session: KnownSession): void {
    sessions++
    if (session.epoch === epoch) secrets.push(...session.secrets)
  }

  async function exchangeOnce(device: TestDevice, count: number): Promise<void> {
    if (count % GIVEN_UP_EVERY === 0) secrets.push(await giveUpExchange(service, device))
    else learn(await establishKnownSession(service, device))
  }

  async function askRoundKeys(): Promise<void> {
    const answer = await askKeys(service, coordinator, round)
    if (answer.status !== 200) throw new Error(`no round keys: ${JSON.stringify(answer.body)}`)
    const { sealed, epoch: of } = roundKeysAnswer.parse(answer.body)
    if (of !== epoch) return
    const context = roundKeysContext(federation.id, round.round, sealed.nonce)
    secrets.push({ what: 'key that sealed round keys', bytes: deriveKey(coordinator, of, 'seal', context) })
    for (const { deviceId, key } of openAnswer(coordinator, federation, round, answer).keys) {
      secrets.push({ what: `round key of ${deviceId}`, bytes: key })
    }
    await sleep(Math.random() * 100)
  }

  async function repeat(step: (count: number) => Promise<void>, times = Number.POSITIVE_INFINITY): Promise<void> {
    for (let count = 1; count <= times && !isStopped; count++) {
      try {
        await step(count)
      } catch (error) {
        if (areRefusalsExpected) return
        refusal = error instanceof Error ? error : new Error(String(error))
        isStopped = true
      }
    }
  }
  for (const session of [coordinator, ...devices]) learn(session)
  const lanes = [
    ...devices.map((device) => repeat((count) => exchangeOnce(device, count))),
    repeat(askRoundKeys, ROUND_CALLS),
  ]
  return {
    async reach(wanted) {
      while (sessions < wanted && !isStopped) await sleep(20)
      if (refusal !== undefined) throw refusal
    },
    expectRefusals() {
      areRefusalsExpected = true
    },
    async stop() {
      isStopped = true
      await Promise.all(lanes)
      if (refusal !== undefined) throw refusal
      return { sessions, secrets }
    },
  }
}

/** The connection ends before the service has read it, while it works on it, or when it has answered. */
async function giveUpExchange(service: TestService, device: TestDevice): Promise<Canary> {
  const initiated = await initiate(service, device)
  const bytes = Uint8Array.from(initiated.sharedSecretS)
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), Math.random() * GIVEN_UP_WITHIN_MS)
  try {
    const headers = { 'content-type': 'application/json' }
    const sent = { method: 'POST', headers, body: JSON.stringify(initiated.wire), signal: patience.signal }
    await fetch(`${service.url}/v1/exchanges`, sent)
  } catch (error) {
    if (!patience.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
  }
  return { what: 'shared secret of an exchange that was given up', bytes }
}
