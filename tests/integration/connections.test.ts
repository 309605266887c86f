import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startTestService, type TestService } from '../support/service.ts'
import { openUnread } from '../support/unread-stream.ts'

async function start(options: Parameters<typeof startTestService>[0]): Promise<TestService> {
  const service = await startTestService({ connectionsPerAddress: 3, ...options })
  onTestFinished(() => service.close())
  return service
}

/** All of 127.0.0.0/8 is this machine, so that a test has many addresses. */
async function open(url: string, localAddress: string): Promise<Socket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress })
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function ask(socket: Socket, path = '/v1/buckets'): Promise<number | 'closed'> {
  const closed = once(socket, 'close').then(() => 'closed' as const)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  const answered = once(socket, 'data').then(([data]) => Number(/^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1]))
  return Promise.race([closed, answered])
}

test('who keeps connections alive loses his own, and nobody else a place', async () => {
  const service = await start({ hasOperatorPort: true })
  for (const [url, path] of [
    [service.url, '/v1/buckets'],
    [service.operatorUrl as string, '/live'],
  ] as const) {
    const other = await open(url, '127.0.0.3')
    expect(await ask(other, path)).toBe(200)
    const hoard: Socket[] = []
    for (let i = 0; i < 8; i++) {
      const socket = await open(url, '127.0.0.2')
      expect(await ask(socket, path)).toBe(200)
      hoard.push(socket)
    }
    await expect.poll(() => hoard.filter(({ closed }) => !closed)).toEqual(hoard.slice(5))
    expect(await ask(other, path)).toBe(200)
  }
})

test('who opens connections and sends no request gets no more of them', async () => {
  const service = await start({})
  const hoard: Socket[] = []
  for (let i = 0; i < 8; i++) hoard.push(await open(service.url, '127.0.0.2'))
  await expect.poll(() => hoard.filter(({ closed }) => !closed)).toEqual(hoard.slice(0, 3))
  expect(await ask(await open(service.url, '127.0.0.3'))).toBe(200)
})

test('a stream that nobody reads is no idle connection, and counts like every other', async () => {
  const service = await start({})
  const localAddress = '127.0.0.2'
  for (let i = 0; i < 3; i++) await openUnread(service, service.adminToken, { localAddress })
  const beyond = await open(service.url, localAddress)
  expect(await ask(beyond)).toBe('closed')
  expect(await ask(await open(service.url, '127.0.0.3'))).toBe(200)
})

test('a trusted proxy has as many as it needs', async () => {
  const service = await start({ trustProxy: ['127.0.0.4/30'] })
  const connections: Socket[] = []
  for (let i = 0; i < 8; i++) connections.push(await open(service.url, '127.0.0.5'))
  for (const socket of connections) expect(await ask(socket)).toBe(200)
})
