import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { type Credential, makeCertificates } from './certificates.ts'

export type HandshakeResult = {
  handshakes: number
  concurrency: number
  protocol: string
  group: string
  keyType: string
  cipher: string
  /** TLS 1.3 session tickets the server sent with each handshake; Node has no switch for their number. */
  ticketsPerHandshake: number
  seconds: number
  handshakesPerSecond: number
  /** CPU milliseconds per handshake, user and system, all threads of the process. */
  serverCpuMs: number
  clientCpuMs: number
  bothCpuMs: number
}

/** What both ends are restricted to: neither can complete a handshake with anything else. */
export type Terms = { trustedCa: string; credential: Credential; group: string; signatureAlgorithm: string }

export type Run = { handshakes: number; concurrency: number; inspectKeys: boolean }
/** `seen` counts facts, one by one: "TLSv1.3", "authorized", … */
export type Counted = { cpuMs: number; seen: Record<string, number> }
export type ClientCounted = Counted & { seconds: number }

export type ServerOrder = { order: 'listen'; terms: Terms } | { order: 'count'; run: Run } | { order: 'collect' }
export type ClientOrder = { order: 'prepare'; terms: Terms; port: number } | { order: 'run'; run: Run }

const PROTOCOL = 'TLSv1.3'
const GROUP = 'MLKEM1024'
const KEY_TYPE = 'ml-dsa-44'
const SIGNATURE_ALGORITHM = 'mldsa44'
// With 300 the figures still fell from run to run; with 1,000 they no longer did.
const WARM_UP_HANDSHAKES = 1_000
// Every connection leaves a TIME_WAIT behind for a minute; Linux has about 28,000 ephemeral ports.
const MAX_HANDSHAKES = 20_000
const MAX_CONCURRENCY = 256
// More than ten times the CPU time of a handshake on a shared 2 GHz core.
const DEADLINE_MS_PER_HANDSHAKE = 100

/**
 * Measures bare TLS 1.3 handshakes over loopback: TCP connect and accept, a full handshake with MLKEM1024 and an
 * ML-DSA-44 certificate on either side, close; no payload, no resumption. Server and client are processes of their own.
 * Throws when anything else was negotiated, when a handshake failed, or when the deadline passed.
 */
export async function measureHandshake(options: { handshakes: number; concurrency: number }): Promise<HandshakeResult> {
  const handshakes = requireBetween('handshakes', options.handshakes, MAX_HANDSHAKES)
  const concurrency = requireBetween('concurrency', options.concurrency, MAX_CONCURRENCY)
  const deadline = AbortSignal.timeout(30_000 + (WARM_UP_HANDSHAKES + handshakes) * DEADLINE_MS_PER_HANDSHAKE)

  const { server: serverCredential, client: clientCredential } = makeCertificates(new Date())
  const termsOf = (credential: Credential, peer: Credential): Terms => {
    return { trustedCa: peer.caCertificate, credential, group: GROUP, signatureAlgorithm: SIGNATURE_ALGORITHM }
  }
  await using server = startChild<ServerOrder>('./server.ts', deadline)
  await using client = startChild<ClientOrder>('./client.ts', deadline)
  const port = (await server.send({ order: 'listen', terms: termsOf(serverCredential, clientCredential) })) as number
  await client.send({ order: 'prepare', terms: termsOf(clientCredential, serverCredential), port })

  const count = async (run: Run): Promise<{ atServer: Counted; atClient: ClientCounted }> => {
    await server.send({ order: 'count', run })
    const atClient = (await client.send({ order: 'run', run })) as ClientCounted
    const atServer = (await server.send({ order: 'collect' })) as Counted
    return { atServer, atClient }
  }

  // To read a peer's key type costs some 0.1 ms: seen in the warm-up, enforced by SIGNATURE_ALGORITHM afterwards.
  const warmUp = await count({ handshakes: WARM_UP_HANDSHAKES, concurrency, inspectKeys: true })
  requireSeen('the server', warmUp.atServer, WARM_UP_HANDSHAKES, [PROTOCOL, 'authorized', 'full', KEY_TYPE])
  requireSeen('the client', warmUp.atClient, WARM_UP_HANDSHAKES, [PROTOCOL, GROUP, 'authorized', 'full', KEY_TYPE])

  const { atServer, atClient } = await count({ handshakes, concurrency, inspectKeys: false })
  requireSeen('the server', atServer, handshakes, [PROTOCOL, 'authorized', 'full'])
  requireSeen('the client', atClient, handshakes, [PROTOCOL, GROUP, 'authorized', 'full'])

  const cipher = Object.keys(atClient.seen).find((fact) => fact.startsWith('cipher ')) ?? ''
  return {
    handshakes,
    concurrency,
    protocol: PROTOCOL,
    group: GROUP,
    keyType: KEY_TYPE,
    cipher: cipher.slice('cipher '.length),
    ticketsPerHandshake: (atClient.seen.ticket ?? 0) / handshakes,
    seconds: atClient.seconds,
    handshakesPerSecond: handshakes / atClient.seconds,
    serverCpuMs: atServer.cpuMs / handshakes,
    clientCpuMs: atClient.cpuMs / handshakes,
    bothCpuMs: (atServer.cpuMs + atClient.cpuMs) / handshakes,
  }
}

/** Notes what either end can see of a finished handshake, in the words that `requireSeen` looks for. */
export function noteHandshake(seen: Record<string, number>, socket: TLSSocket, inspectKeys: boolean): void {
  note(seen, socket.getProtocol() ?? 'no protocol')
  note(seen, `cipher ${socket.getCipher().name}`)
  note(seen, socket.authorized ? 'authorized' : 'unauthorized')
  note(seen, socket.isSessionReused() ? 'resumed' : 'full')
  if (inspectKeys) note(seen, socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType ?? 'no key')
}

export function note(seen: Record<string, number>, fact: string): void {
  seen[fact] = (seen[fact] ?? 0) + 1
}

function requireBetween(name: string, value: number, maximum: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= maximum) return value
  throw new RangeError(`${name} must be an integer from 1 to ${maximum}, not ${value}`)
}

/** Every fact must have been seen at every handshake: one that was not is one that was something else. */
function requireSeen(end: string, counted: Counted, handshakes: number, facts: string[]): void {
  const missing = facts.filter((fact) => counted.seen[fact] !== handshakes)
  if (missing.length === 0) return
  const seen = JSON.stringify(counted.seen)
  throw new Error(`${end} did not see ${missing.join(', ')} at each of ${handshakes} handshakes: ${seen}`)
}

type Child<Order> = AsyncDisposable & { send(order: Order): Promise<unknown> }

function startChild<Order extends { order: string }>(file: string, deadline: AbortSignal): Child<Order> {
  const child = fork(new URL(file, import.meta.url), { execArgv: [] })
  // Without a listener a failed spawn would end this process; `send` reports it too.
  child.on('error', () => {})
  return {
    send: (order) => exchange(child, `${file} ${order.order}`, order, deadline),
    async [Symbol.asyncDispose]() {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** One order, one reply: the child answers `{ reply }` or `{ failure }`. */
async function exchange(child: ChildProcess, what: string, order: object, deadline: AbortSignal): Promise<unknown> {
  const settled = new AbortController()
  const signal = AbortSignal.any([deadline, settled.signal])
  try {
    const answered = once(child, 'message', { signal })
    const exited = once(child, 'exit', { signal }).then(([code, killedBy]) => {
      throw new Error(`it ended with ${code ?? killedBy}`)
    })
    child.send(order)
    const [answer] = (await Promise.race([answered, exited])) as [{ reply?: unknown; failure?: string }]
    if (answer.failure !== undefined) throw new Error(answer.failure)
    return answer.reply
  } catch (cause) {
    const reason = deadline.aborted ? 'the deadline has passed' : cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${what}: ${reason}`, { cause })
  } finally {
    settled.abort()
  }
}
