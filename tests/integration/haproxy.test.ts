import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { hasHaproxy, startTestHaproxy, type TestHaproxy } from '../support/haproxy.ts'
import { listOddRequests, type OddRequest, targets } from '../support/odd-requests.ts'
import { sendRaw } from '../support/refusals.ts'
import { startTestService } from '../support/service.ts'

/** Behind a real proxy, which sends the requests of everybody over one connection. */

const id = '00000000-0000-4000-8000-00000000000a'
const smuggledId = '00000000-0000-4000-8000-00000000000b'
/** What comes next on the connection would be the rest of its last line. */
const smuggled = `GET /v1/trust HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${smuggledId}\r\nX: `
/** Whoever has no answer by then is waited for by nobody; it leaves. */
const PATIENCE_MS = 100

async function startProxy(backendUrl: string): Promise<TestHaproxy> {
  const proxy = await startTestHaproxy(backendUrl)
  onTestFinished(() => proxy.stop())
  return proxy
}

/** Until there is an answer or the connection is closed. */
async function attack({ url }: TestHaproxy, text: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  const answered = Promise.race([new Promise((resolve) => socket.once('data', resolve)), once(socket, 'close')])
  socket.write(Buffer.from(text, 'latin1'))
  await Promise.race([answered, sleep(PATIENCE_MS)])
  socket.destroy()
}

/** What somebody else gets who asks twice. */
async function askHonestly(proxy: TestHaproxy): Promise<string[]> {
  const wrong: string[] = []
  for (const [path, member] of [
    ['/v1/buckets', 'certificates'],
    ['/v1/trust', 'items'],
  ] as const) {
    const own = newId()
    const { status, headers, body } = await sendRaw(proxy, 'GET', path, { headers: { 'x-request-id': own } })
    const isOwn = status === 200 && headers.get('x-request-id') === own && member in Object(body)
    if (!isOwn)
      wrong.push(`${path} got ${status} ${headers.get('x-request-id') === smuggledId ? 'of the smuggled' : ''}`)
  }
  return wrong
}

/** Which of the odd requests changed what the next ones got. */
async function findDesynchronized(proxy: TestHaproxy, oddRequests: readonly OddRequest[]): Promise<string[]> {
  const found: string[] = []
  for (const { what, text } of oddRequests) {
    for (const to of new Set(targets.map((target) => text(target)))) {
      await attack(proxy, to)
      for (const wrong of await askHonestly(proxy)) found.push(`${what}: ${wrong}`)
    }
  }
  return found
}

describe.skipIf(!hasHaproxy)('behind HAProxy', () => {
  test('nobody gets what another’s odd request left behind, and nothing of it is done', async () => {
    let log = ''
    const written = new Writable({
      write(line: Buffer, _encoding, done) {
        log += line.toString()
        done()
      },
    })
    const service = await startTestService({ trustProxy: ['127.0.0.1'], logger: createLogger('info', written) })
    onTestFinished(() => service.close())
    const proxy = await startProxy(service.url)
    expect(await findDesynchronized(proxy, listOddRequests({ id, smuggled }))).toEqual([])
    expect(log).toContain(`"requestId":"${id}"`)
    expect(log).not.toContain(smuggledId)
  })

  test('the same look finds it in a server that passes over the length of a body', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      let text = ''
      socket.on('data', (data) => {
        text += data.toString('latin1')
        for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
          const [head, path = ''] = /^\S+ (\S+)/.exec(text) ?? []
          const own = head === undefined ? '' : /^x-request-id: (\S+)/im.exec(text.slice(0, end))?.[1]
          const body = path === '/v1/trust' ? '{"items":[]}' : '{"certificates":[]}'
          const lines = ['content-type: application/json', `content-length: ${body.length}`, `x-request-id: ${own}`]
          socket.write(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
          text = text.slice(end + 4)
        }
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const proxy = await startProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    expect(await askHonestly(proxy)).toEqual([])
    const found = await findDesynchronized(
      proxy,
      listOddRequests({ id, smuggled }).filter(({ what }) => what.startsWith('CL.0')),
    )
    expect(found).toContain('CL.0: a body that is a request: /v1/buckets got 200 of the smuggled')
  })
})
