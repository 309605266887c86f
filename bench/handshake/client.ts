import { connect, createSecureContext, type SecureContext } from 'node:tls'
import { type ClientCounted, type ClientOrder, note, noteHandshake, type Run } from './measure-handshake.ts'

// The client end of measure-handshake.ts, which forks this file and gives the orders.

type Target = { port: number; secureContext: SecureContext }

let target: Target | undefined

process.on('disconnect', () => process.exit())
process.on('message', (order: ClientOrder) => {
  obey(order).then(
    (reply) => process.send?.({ reply }),
    (error: Error) => process.send?.({ failure: error.message }),
  )
})

async function obey(order: ClientOrder): Promise<ClientCounted | undefined> {
  if (order.order === 'run') return run(order.run)
  const { terms, port } = order
  // Made once, as a server makes its own once: loading keys and certificates is not part of a handshake.
  const secureContext = createSecureContext({
    ca: terms.trustedCa,
    cert: terms.credential.certificate,
    key: terms.credential.privateKey,
    minVersion: 'TLSv1.3',
    ecdhCurve: terms.group,
    sigalgs: terms.signatureAlgorithm,
  })
  target = { port, secureContext }
  return undefined
}

/** The CPU window of this process: from the first connect to the last close. */
async function run({ handshakes, concurrency, inspectKeys }: Run): Promise<ClientCounted> {
  if (target === undefined) throw new Error('the order "prepare" comes first')
  const { port, secureContext } = target
  const seen: ClientCounted['seen'] = {}
  let left = handshakes
  const connectInTurn = async (): Promise<void> => {
    while (left-- > 0) await handshake({ port, secureContext }, seen, inspectKeys)
  }
  const startedAt = performance.now()
  const cpuAtStart = process.cpuUsage()
  await Promise.all(Array.from({ length: concurrency }, connectInTurn))
  const { user, system } = process.cpuUsage(cpuAtStart)
  return { cpuMs: (user + system) / 1000, seconds: (performance.now() - startedAt) / 1000, seen }
}

function handshake(to: Target, seen: ClientCounted['seen'], inspectKeys: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', ...to })
    socket.on('secureConnect', () => {
      noteHandshake(seen, socket, inspectKeys)
      const ephemeral = socket.getEphemeralKeyInfo()
      note(seen, ephemeral !== null && 'name' in ephemeral ? String(ephemeral.name) : 'no group')
    })
    socket.on('session', () => note(seen, 'ticket'))
    socket.on('error', reject)
    // After an error the promise is settled already.
    socket.on('close', () => resolve())
    socket.resume()
  })
}
