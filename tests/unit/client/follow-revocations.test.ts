import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type FollowRevocationsOptions, followRevocations } from '../../../client/follow-revocations.ts'
import { createHttpClient } from '../../../client/http.ts'
import { readServerEvents, type ServerEvent } from '../../../client/read-server-events.ts'

const id = (n: number) => `0199b0a4-7e1c-7000-8000-00000000000${n}`
const snapshot = (devices: unknown[], isLast = true, eventId = '') =>
  `event: snapshot\n${eventId && `id: ${eventId}\n`}data: ${JSON.stringify({ devices, isLast })}\n\n`
const change = (n: number, status: string) =>
  `event: change\nid: ${n}\ndata: ${JSON.stringify({ deviceId: id(n), status, changedAt: n })}\n\n`
const barred = (n: number) => ({ deviceId: id(n), status: 'REVOKED' })

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

/** Answers each request with the next of these; what follows is the last once more. `follow` resolves when `stopAfter` events came. */
async function follow(
  answers: ((response: ServerResponse) => void)[],
  options: { stopAfter: number; isInSession?: boolean; bearer?: () => Promise<string>; maxDevices?: number },
) {
  const asked: string[] = []
  const answer: RequestListener = (request, response) => {
    asked.push(request.url ?? '')
    ;(answers[asked.length - 1] ?? answers.at(-1))?.(response)
  }
  const server = createServer(answer)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const heard: unknown[] = []
  const errors: string[] = []
  const stop = new AbortController()
  const note = (what: unknown) => {
    heard.push(what)
    if (heard.length === options.stopAfter) stop.abort()
  }
  const pauses: number[] = []
  const wait = async (ms: number) => void pauses.push(ms)
  const follower: FollowRevocationsOptions = {
    signal: stop.signal,
    onSnapshot: note,
    onChange: ({ deviceId, status }) => note([deviceId, status]),
    onError: ({ code }) => void errors.push(code),
  }
  const { isInSession = false, bearer = async () => 'token', maxDevices = 1_000 } = options
  const http = createHttpClient({ url, timeoutMs: 2_000, wait })
  await followRevocations({ http, bearer, wait, isInSession, maxDevices }, follower)
  return { heard, asked, errors, pauses }
}

const events = (text: string, isEnded: boolean) => (response: ServerResponse) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
  if (isEnded) response.end(text)
  else response.write(text)
}
const problem = (status: number, code: string) => (response: ServerResponse) => {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' })
  response.end(JSON.stringify({ code }))
}

describe('following revocations', () => {
  it('goes on behind the last id when the connection breaks, the service ends it or is busy', async () => {
    const { heard, asked, errors } = await follow(
      [
        events(snapshot([barred(1)], true, '7') + change(8, 'SUSPENDED'), true),
        (response) => response.destroy(),
        problem(503, 'overloaded'),
        events(`${change(9, 'ACTIVE')}event: end\ndata: {"reason":"stopping"}\n\n`, true),
        events(`:\n\n${change(4, 'REVOKED')}`, false),
      ],
      { stopAfter: 4 },
    )
    expect(heard).toEqual([[barred(1)], [id(8), 'SUSPENDED'], [id(9), 'ACTIVE'], [id(4), 'REVOKED']])
    expect(asked.map((path) => path.replace('/v1/revocations', ''))).toEqual([
      '',
      '?after=8',
      '?after=8',
      '?after=8',
      '?after=9',
    ])
    // A broken connection and a busy service are tried again at once before anybody hears of it.
    expect(errors).toEqual(['network'])
  })

  it('gives a snapshot as a whole, and forgets the half of one that was cut off', async () => {
    const { heard, asked } = await follow(
      [
        events(snapshot([barred(1)], false), true),
        events(snapshot([barred(1), barred(2)], false) + snapshot([barred(3)], true, '5'), false),
      ],
      { stopAfter: 1 },
    )
    expect(heard).toEqual([[barred(1), barred(2), barred(3)]])
    expect(asked).toEqual(['/v1/revocations', '/v1/revocations'])
  })

  it('outlasts a session that has ended, and gives up with an API token that is refused', async () => {
    const refused = problem(401, 'unauthenticated')
    await expect(follow([refused], { stopAfter: 1 })).rejects.toMatchObject({ code: 'unauthenticated' })
    const { heard, errors } = await follow([refused, events(change(1, 'REVOKED'), false)], {
      stopAfter: 1,
      isInSession: true,
    })
    expect([heard, errors]).toEqual([[[id(1), 'REVOKED']], ['unauthenticated']])
  })

  it.each([
    ['no JSON', 'event: change\nid: 1\ndata: {\n\n'],
    ['no device', 'event: change\nid: 1\ndata: {"deviceId":"x","status":"ACTIVE","changedAt":1}\n\n'],
    ['a status that there is not', change(1, 'WELL')],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x0a, 0x0a]) as unknown as string],
    ['an event without an end', `data: ${'x'.repeat(300_000)}`],
  ])('rejects %s from the server', async (_what, text) => {
    await expect(follow([events(text, true)], { stopAfter: 1 })).rejects.toMatchObject({ code: 'bad_answer' })
  })

  it('passes over events that a newer service may tell', async () => {
    const later = `event: later\nid: 3\ndata: {}\n\n${change(4, 'REVOKED')}`
    expect((await follow([events(later, false)], { stopAfter: 1 })).heard).toEqual([[id(4), 'REVOKED']])
  })
})

describe('a service that means ill', () => {
  it('is asked less and less often while it tells nothing that is known', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1)
    const nothing = events('event: later\ndata: {}\n\nevent: end\ndata: {"reason":"stopping"}\n\n', true)
    const something = events(change(1, 'REVOKED') + 'event: end\ndata: {"reason":"stopping"}\n\n', true)
    const { pauses } = await follow([nothing, nothing, nothing, something, nothing, something], { stopAfter: 2 })
    vi.restoreAllMocks()
    expect(pauses).toEqual([500, 1_000, 2_000, 500, 1_000])
  })

  it('fills no memory with a snapshot without an end', async () => {
    const half = snapshot([barred(1), barred(2)], false)
    const limits = { stopAfter: 1, maxDevices: 4 }
    expect((await follow([events(half + snapshot([barred(3), barred(4)]), false)], limits)).heard[0]).toHaveLength(4)
    await expect(follow([events(half + half + snapshot([barred(3)]), false)], limits)).rejects.toMatchObject({
      code: 'bad_answer',
      message: 'The server names more than 4 devices that may not take part.',
    })
  })
})

describe('server-sent events', () => {
  it('are the same however the network cuts them', async () => {
    const text = `: hello\n\nevent: one\r\nid: 1\r\ndata: ä\r\ndata: b\r\n\r\n${change(2, 'ACTIVE')}`
    const bytes = new TextEncoder().encode(text)
    const read = async (pieces: Uint8Array[]) => {
      const found: ServerEvent[] = []
      for await (const event of readServerEvents(piecesOf(pieces))) found.push(event)
      return found
    }
    const whole = await read([bytes])
    expect(whole.map(({ name, data }) => [name, data.slice(0, 3)])).toEqual([
      ['one', 'ä\nb'],
      ['change', '{"d'],
    ])
    for (let at = 1; at < bytes.length; at++) {
      expect(await read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
    }
  })
})

async function* piecesOf(pieces: readonly Uint8Array[]) {
  yield* pieces
}
