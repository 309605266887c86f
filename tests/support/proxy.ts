import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** `forward`; another request in its place; an answer that the service did not give; `lose-answer`: the service acts, and nobody hears of it; `lose-request`: nor does it. */
export type Treatment =
  | 'forward'
  | 'lose-answer'
  | 'lose-request'
  | { answer: unknown }
  | { method: string; path: string }

export interface Proxy extends AsyncDisposable {
  url: string
  /** What becomes of a request, by its method and path. */
  treat: (line: string) => Treatment
}

/** Stands between a client and the real service, and does what networks and liars do. */
export async function startProxy(serviceUrl: string): Promise<Proxy> {
  const server = createServer((incoming, outgoing) => {
    const treatment = proxy.treat(`${incoming.method} ${incoming.url}`)
    if (treatment === 'lose-request') {
      incoming.resume().on('end', () => incoming.socket.destroy())
      return
    }
    if (typeof treatment === 'object' && 'answer' in treatment) {
      outgoing.writeHead(200, { 'content-type': 'application/json' })
      incoming.resume().on('end', () => outgoing.end(JSON.stringify(treatment.answer)))
      return
    }
    const { method, path } =
      typeof treatment === 'object' ? treatment : { method: incoming.method ?? '', path: incoming.url ?? '' }
    const headers = { ...incoming.headers }
    if (method === 'GET') {
      delete headers['content-length']
      delete headers['content-type']
    }
    const forwarded = request(serviceUrl + path, { method, headers }, (answer) => {
      if (treatment === 'lose-answer') {
        answer.resume().on('end', () => incoming.socket.destroy())
        return
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => incoming.socket.destroy())
    if (method === 'GET') {
      incoming.resume()
      forwarded.end()
    } else {
      incoming.pipe(forwarded)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: Proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    treat: () => 'forward',
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
  return proxy
}
