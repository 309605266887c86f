import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ConnectionLimits, limitConnections } from '../../../server/limit-connections.ts'
import { makeServerCredential } from '../../support/tls-files.ts'

const answerAll: RequestListener = (_req, res) => void res.end('well')
const unlimited: ConnectionLimits = { perAddress: 0, total: 1_000, isExempt: () => false }

async function listen(limits: Partial<ConnectionLimits>, server: Server): Promise<number> {
  limitConnections(server, { ...unlimited, ...limits })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

interface Connection {
  send(text: string): void
  /** Sends a request and waits for its answer. */
  ask(): Promise<string>
  isClosed(): boolean
  close(): Promise<void>
}

function follow(socket: Socket): Connection {
  let isClosed = false
  socket.on('error', () => undefined)
  socket.on('close', () => (isClosed = true))
  onTestFinished(() => void socket.destroy())
  return {
    send: (text) => void socket.write(text),
    async ask() {
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      const [data] = (await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['closed'])])) as [
        Buffer,
      ]
      return data.toString().split('\r\n')[0] as string
    },
    isClosed: () => isClosed,
    async close() {
      if (isClosed) return
      socket.destroy()
      await once(socket, 'close')
    },
  }
}

/** All of 127.0.0.0/8 is this machine, so that a test has many addresses. */
async function open(port: number, localAddress = '127.0.0.1'): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  await once(socket, 'connect')
  return follow(socket)
}

/** Opens one and asks, so that it is idle from then on. */
async function openIdle(port: number, localAddress?: string): Promise<Connection> {
  const connection = await open(port, localAddress)
  expect(await connection.ask()).toBe('HTTP/1.1 200 OK')
  return connection
}

const becomesClosed = (connection: Connection) => expect.poll(connection.isClosed).toBe(true)

describe('an address with as many connections as it may have', () => {
  test('gets another in the place of the one that it left idle longest', async () => {
    const port = await listen({ perAddress: 3 }, createServer(answerAll))
    const [first, second, third] = [await openIdle(port), await openIdle(port), await openIdle(port)]
    await first.ask()
    await openIdle(port)
    await becomesClosed(second)
    expect([first, third].map((connection) => connection.isClosed())).toEqual([false, false])
    await openIdle(port)
    await becomesClosed(third)
    expect(first.isClosed()).toBe(false)
  })

  test('gets no other while none of them is idle, and others do', async () => {
    const port = await listen(
      { perAddress: 2 },
      createServer(() => undefined),
    )
    const busy = [await open(port), await open(port)]
    busy[0]?.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await becomesClosed(await open(port))
    const other = await open(port, '127.0.0.2')
    await becomesClosed(await open(port))
    expect([...busy, other].map((connection) => connection.isClosed())).toEqual([false, false, false])
  })

  test('gets another when one of them has gone', async () => {
    const port = await listen({ perAddress: 1 }, createServer(answerAll))
    const first = await open(port)
    await becomesClosed(await open(port))
    await first.close()
    await expect.poll(async () => (await open(port)).ask()).toBe('HTTP/1.1 200 OK')
  })

  test('does not lose one whose answer is under way', async () => {
    const answers: (() => void)[] = []
    const app: RequestListener = (_req, res) => void answers.push(() => res.end('late'))
    const port = await listen({ perAddress: 1 }, createServer(app))
    const first = await open(port)
    const asked = first.ask()
    await expect.poll(() => answers.length).toBe(1)
    await becomesClosed(await open(port))
    answers[0]?.()
    expect(await asked).toBe('HTTP/1.1 200 OK')
  })

  test('is any, where it is a trusted proxy or there is no such limit', async () => {
    const isExempt = (address: string) => address === '127.0.0.9'
    for (const [limits, address] of [
      [{ perAddress: 1, isExempt }, '127.0.0.9'],
      [{ perAddress: 0 }, '127.0.0.1'],
    ] as const) {
      const port = await listen(limits, createServer(answerAll))
      const connections = []
      for (let i = 0; i < 5; i++) connections.push(await openIdle(port, address))
      for (const connection of connections) expect(await connection.ask()).toBe('HTTP/1.1 200 OK')
    }
  })
})

describe('a server with as many connections as it takes', () => {
  test('takes another in the place of the one that is idle longest, whosever it is', async () => {
    const port = await listen({ perAddress: 3, total: 4 }, createServer(answerAll))
    const hoard = []
    for (let i = 0; i < 4; i++) hoard.push(await openIdle(port, i < 3 ? '127.0.0.2' : '127.0.0.3'))
    await openIdle(port, '127.0.0.4')
    await becomesClosed(hoard[0] as Connection)
    expect(hoard.slice(1).map((connection) => connection.isClosed())).toEqual([false, false, false])
  })

  test('takes no other while none is idle, and one when there is room again', async () => {
    const port = await listen({ total: 2 }, createServer(answerAll))
    const [first] = [await open(port, '127.0.0.2'), await open(port, '127.0.0.3')]
    await becomesClosed(await open(port, '127.0.0.4'))
    await first.close()
    await expect.poll(async () => (await open(port, '127.0.0.4')).ask()).toBe('HTTP/1.1 200 OK')
  })
})

test('over TLS a connection counts from its handshake on, and is found idle, and gone, just so', async () => {
  const { certificate: cert, privateKey: key, caCertificate: ca } = makeServerCredential()
  const port = await listen({ perAddress: 2 }, createTlsServer({ cert, key }, answerAll))
  const openTls = async (): Promise<Connection> => {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca })
    await once(socket, 'secureConnect')
    return follow(socket)
  }
  const first = await openTls()
  expect(await first.ask()).toBe('HTTP/1.1 200 OK')
  const halfway = await open(port)
  const third = await openTls()
  await becomesClosed(first)
  await becomesClosed(await open(port))
  expect(halfway.isClosed()).toBe(false)
  await halfway.close()
  expect(await third.ask()).toBe('HTTP/1.1 200 OK')
  for (let i = 0; i < 5; i++) await expect.poll(async () => (await openTls()).ask()).toBe('HTTP/1.1 200 OK')
})
