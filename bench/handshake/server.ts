import { constants } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { type Counted, noteHandshake, type Run, type ServerOrder, type Terms } from './measure-handshake.ts'

// The server end of measure-handshake.ts, which forks this file and gives the orders.

type Tally = {
  run: Run
  closed: number
  seen: Counted['seen']
  cpuAtStart: NodeJS.CpuUsage
  finished: PromiseWithResolvers<Counted>
}

let tally: Tally | undefined

process.on('disconnect', () => process.exit())
process.on('message', (order: ServerOrder) => {
  obey(order).then(
    (reply) => process.send?.({ reply }),
    (error: Error) => process.send?.({ failure: error.message }),
  )
})

async function obey(order: ServerOrder): Promise<unknown> {
  if (order.order === 'listen') return listen(order.terms)
  if (order.order === 'count') return startCounting(order.run)
  return tally?.finished.promise
}

async function listen(terms: Terms): Promise<number> {
  const server = createServer({
    ca: terms.trustedCa,
    cert: terms.credential.certificate,
    key: terms.credential.privateKey,
    minVersion: 'TLSv1.3',
    ecdhCurve: terms.group,
    sigalgs: terms.signatureAlgorithm,
    requestCert: true,
    rejectUnauthorized: true,
    // In TLS 1.3 this does not stop tickets: it makes them stateful, thus small, and good for nothing here.
    secureOptions: constants.SSL_OP_NO_TICKET,
  })
  server.on('secureConnection', closeAndCount)
  server.on('tlsClientError', (error) => tally?.finished.reject(error))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The CPU window of this process: from here to the last close. */
function startCounting(run: Run): void {
  const finished = Promise.withResolvers<Counted>()
  // A failure is told to whoever collects, who may not have asked yet.
  finished.promise.catch(() => {})
  tally = { run, closed: 0, seen: {}, cpuAtStart: process.cpuUsage(), finished }
}

/** The server closes first: that tells a client, which finishes before its own certificate is verified, of success. */
function closeAndCount(socket: TLSSocket): void {
  if (tally === undefined) return void socket.destroy()
  const { run, seen, cpuAtStart, finished } = tally
  noteHandshake(seen, socket, run.inspectKeys)
  socket.on('error', (error) => finished.reject(error))
  socket.on('close', () => {
    if (tally === undefined || ++tally.closed < run.handshakes) return
    const { user, system } = process.cpuUsage(cpuAtStart)
    finished.resolve({ cpuMs: (user + system) / 1000, seen })
  })
  socket.resume()
  socket.end()
}
