import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { createReadInTurn, PER_TURN } from '../../../server/read-in-turn.ts'

const CONNECTIONS = 60
/** More than Node reads of a connection at once. */
const AHEAD = 60
/** Cut anywhere by what is read at once. */
const BODY = 'x'.repeat(9_000)
const REQUEST = `POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`

const stack = new AsyncDisposableStack()
afterEach(() => stack.disposeAsync())

async function startServer() {
  const readInTurn = createReadInTurn()
  const app = express()
  let read = new Set<Socket>()
  const readPerTurn: number[] = []
  let isOver = false
  app.use((req, res) => {
    read.add(req.socket)
    readInTurn(req, res)
    res.status(503).end('later')
  })
  const server = createServer(app)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(async () => {
    isOver = true
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  async function look(): Promise<void> {
    for (; !isOver; await turn()) {
      if (read.size > 0) readPerTurn.push(read.size)
      read = new Set()
    }
  }
  void look()
  return { port: (server.address() as AddressInfo).port, readPerTurn }
}

test('of connections that are refused few are read on in a turn, and each has every request answered', async () => {
  const { port, readPerTurn } = await startServer()
  let answered = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connect(port, '127.0.0.1')
    stack.defer(() => void socket.destroy())
    let text = ''
    let count = 0
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const now = text.split('HTTP/1.1 503').length - 1
      answered += now - count
      count = now
      if (answered === CONNECTIONS * AHEAD) resolve()
    })
    socket.write(REQUEST.repeat(AHEAD))
  }
  await promise
  expect(answered).toBe(CONNECTIONS * AHEAD)
  const total = readPerTurn.reduce((sum, count) => sum + count, 0)
  // Not to the end of what is there: what is read at once is seven requests and a piece.
  expect(total).toBeGreaterThanOrEqual((CONNECTIONS * AHEAD) / 10)
  // What is new is read when it comes; what was refused before, in turn.
  const inTurn = readPerTurn.reduce((sum, count) => sum + Math.min(count, PER_TURN), 0)
  expect(total - inTurn).toBeLessThanOrEqual(CONNECTIONS)
})
