import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import type { Answer } from './fake-answer.ts'
import { createFakeAuthority, type FakeAuthority } from './fake-authority.ts'
import type { FakeDevice } from './fake-operator.ts'
import { createFakeRoutes, type FakeSession } from './fake-routes.ts'

export interface FakeServer {
  readonly url: string
  readonly authority: FakeAuthority
  readonly sessions: Map<string, FakeSession>
  readonly devices: Map<string, FakeDevice>
  /** Every request, as `POST /v1/exchanges`, with its body. */
  readonly requests: { line: string; body: unknown; headers: IncomingMessage['headers'] }[]
  /** Milliseconds; tests move it. */
  now: number
  /** Changes an answer before it is sent. */
  tamper: ((line: string, answer: Answer) => Answer) | undefined
  /** Requests that are acted on but whose answer is lost, by line; each is used once. */
  readonly lose: string[]
  /** A new enrolment token with the right pin. */
  newToken(): string
  count(line: string): number
  [Symbol.asyncDispose](): Promise<void>
}

/** Plays the server's part of docs/protocol.md with the functions of `protocol/`, on a port of its own. */
export async function startFakeServer(now: number): Promise<FakeServer> {
  const crypto = await choosePrimitives()
  const authority = createFakeAuthority(crypto)
  const routes = createFakeRoutes(crypto, authority, () => fake.now)
  const server = createServer((request, response) => {
    void answerRequest(fake, routes.answer, request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const fake: FakeServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    authority,
    sessions: routes.sessions,
    devices: routes.devices,
    requests: [],
    now,
    tamper: undefined,
    lose: [],
    newToken: routes.newToken,
    count: (line) => fake.requests.filter((request) => request.line === line).length,
    [Symbol.asyncDispose]: () => close(server),
  }
  return fake
}

async function answerRequest(
  fake: FakeServer,
  answer: (line: string, body: unknown, headers: IncomingMessage['headers']) => Answer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  const body: unknown = text === '' ? undefined : JSON.parse(text)
  const line = `${request.method} ${request.url}`
  fake.requests.push({ line, body, headers: request.headers })
  const given = answer(line, body, request.headers)
  const { status, json, headers = {} } = fake.tamper?.(line, given) ?? given
  const lost = fake.lose.indexOf(line)
  if (lost >= 0) {
    fake.lose.splice(lost, 1)
    request.socket.destroy()
    return
  }
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  response.writeHead(status, { 'Content-Type': type, ...headers })
  response.end(status === 204 ? undefined : JSON.stringify(json))
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((done) => server.close(done))
}
