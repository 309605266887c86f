import { once } from 'node:events'
import { type ClientRequest, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../database/open.ts'
import type { TestService } from './service.ts'

export interface Ask {
  method: string
  path: string
  body?: unknown
  token: string
}

/** A request on its way, which goes on when the test says so. */
export interface HeldRequest {
  goOn: () => Promise<{ status: number; code: string | undefined }>
}

/** Requests to a service whose API has the database that `wrap` gives. One is held at a time. */
export function createHeldRequests(getService: () => Pick<TestService, 'url'>) {
  const hold = createHold()
  return {
    wrap: hold.wrap,

    /**
     * A request that has been authenticated: its body is under way or, where it has none, its first transaction. `looksUpSession`:
     * by its token alone.
     */
    async begin(ask: Ask, looksUpSession = false): Promise<HeldRequest> {
      const payload = toPayload(ask)
      const lookedUp = hold.nextLookUp()
      const { release } = payload === '' ? hold.holdTransaction(0) : { release: () => {} }
      const { sending, answer } = open(getService(), ask, payload)
      if (payload === '') sending.end()
      else sending.write(payload.slice(0, 1))
      await (looksUpSession ? answerLater(getService(), sending) : lookedUp)
      // What was looked up is judged in the same turn, by the time of then.
      await nextTurn()
      return {
        goOn() {
          if (payload !== '') sending.end(payload.slice(1))
          release()
          return answer
        },
      }
    },

    /** A request that has ended so many transactions in its organization, and waits before the next one. */
    async beginUntil(ask: Ask, transactions: number): Promise<HeldRequest> {
      const payload = toPayload(ask)
      const { reached, release } = hold.holdTransaction(transactions)
      const { sending, answer } = open(getService(), ask, payload)
      sending.end(payload)
      // What is answered before is no held request, and its answer shows that.
      await Promise.race([reached, answer])
      return {
        goOn() {
          release()
          return answer
        },
      }
    },
  }
}

/** Tells when a token has been looked up, and holds one of the next transactions of a service until it is let go. */
function createHold() {
  let lookedUp = () => {}
  let held: { left: number; reach: () => void; released: Promise<void> } | undefined
  return {
    wrap: (database: Database): Database => ({
      ...database,
      async sendTransaction(...order) {
        const answer = await database.sendTransaction(...order)
        lookedUp()
        return answer
      },
      async withOrganization(organizationId, work) {
        if (held !== undefined && held.left-- === 0) {
          const { reach, released } = held
          held = undefined
          reach()
          await released
        }
        return database.withOrganization(organizationId, work)
      },
    }),
    nextLookUp: () => new Promise<void>((resolve) => (lookedUp = resolve)),
    /** The one after so many others. */
    holdTransaction(others: number): { reached: Promise<void>; release: () => void } {
      const reaching = Promise.withResolvers<void>()
      const releasing = Promise.withResolvers<void>()
      held = { left: others, reach: reaching.resolve, released: releasing.promise }
      return { reached: reaching.promise, release: releasing.resolve }
    },
  }
}

/** What came on a later connection has been answered: of the earlier one, that was sent before, the head has been read. */
async function answerLater({ url }: Pick<TestService, 'url'>, sending: ClientRequest): Promise<void> {
  if (sending.socket?.connecting !== false) await once(sending, 'socket').then(([socket]) => once(socket, 'connect'))
  for (let i = 0; i < 2; i++) await (await fetch(`${url}/health/live`)).text()
}

const toPayload = ({ body }: Ask): string => (body === undefined ? '' : JSON.stringify(body))

function open({ url }: Pick<TestService, 'url'>, ask: Ask, payload: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; code: string | undefined }>()
  const sending = request(`${url}${ask.path}`, {
    method: ask.method,
    agent: false,
    headers: {
      authorization: `Bearer ${ask.token}`,
      ...(payload === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    },
  })
  sending.on('error', reject)
  sending.on('response', (response) => {
    text(response).then((body) => {
      resolve({ status: response.statusCode ?? 0, code: body === '' ? undefined : JSON.parse(body).code })
    }, reject)
  })
  return { sending, answer: promise }
}
