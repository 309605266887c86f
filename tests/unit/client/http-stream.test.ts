import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createHttpClient } from '../../../client/http.ts'
import { readLines } from '../../../client/read-lines.ts'
import { codeOf } from './setup.ts'

const TYPE = 'application/x-ndjson'
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
})

async function streamOf(answer: RequestListener, options: { timeoutMs?: number; signal?: AbortSignal } = {}) {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { timeoutMs = 2000, signal } = options
  return createHttpClient({ url, timeoutMs, wait: async () => undefined })
    .withSignal(signal)
    .stream('/x', TYPE)
}

async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const piece of pieces) bytes += piece.length
  return bytes
}

describe('a streamed answer', () => {
  it('comes piece by piece, longer than any other answer may be', async () => {
    const stream = await streamOf((_request, response) => {
      response.writeHead(200, { 'Content-Type': `${TYPE}; charset=utf-8` })
      for (let i = 0; i < 40; i++) response.write('x'.repeat(100_000))
      response.end()
    })
    expect(await readAll(stream)).toBe(4_000_000)
  })

  it('may take longer in all than one wait may, and so may who reads it', async () => {
    const timeoutMs = 200
    const stream = await streamOf(
      (_request, response) => {
        response.writeHead(200, { 'Content-Type': TYPE })
        let left = 5
        const timer = setInterval(() => {
          response.write('piece')
          if (--left > 0) return
          clearInterval(timer)
          response.end()
        }, 80)
      },
      { timeoutMs },
    )
    let bytes = 0
    for await (const piece of stream) {
      if (bytes === 0) await new Promise((done) => setTimeout(done, 2 * timeoutMs))
      bytes += piece.length
    }
    expect(bytes).toBe(25)
  })

  it('that falls silent ends with a timeout, and one that breaks off with an error', async () => {
    const begin: RequestListener = (_request, response) => {
      response.writeHead(200, { 'Content-Type': TYPE }).write('piece')
    }
    expect(await codeOf(readAll(await streamOf(begin, { timeoutMs: 100 })))).toBe('timeout')
    const broken = await streamOf((request, response) => {
      begin(request, response)
      setTimeout(() => response.destroy(), 50)
    })
    expect(await codeOf(readAll(broken))).toBe('network')
  })

  it('is asked for again until it begins, and never after that', async () => {
    let tries = 0
    const stream = await streamOf((request, response) => {
      tries++
      if (tries < 3) return void request.socket.destroy()
      response.writeHead(200, { 'Content-Type': TYPE }).write('piece')
      setTimeout(() => response.destroy(), 50)
    })
    expect(await codeOf(readAll(stream))).toBe('network')
    expect(tries).toBe(3)
  })

  it('of another type is refused', async () => {
    const stream = await streamOf(
      (_request, response) => void response.setHeader('Content-Type', 'text/html').end('<p>'),
    )
    expect(await codeOf(readAll(stream))).toBe('bad_answer')
  })

  it('ends at the server when nobody reads on, and with the signal', async () => {
    const closed: Promise<unknown>[] = []
    const endless: RequestListener = (_request, response) => {
      closed.push(once(response, 'close'))
      response.writeHead(200, { 'Content-Type': TYPE })
      response.write('piece')
    }
    for await (const piece of await streamOf(endless)) if (piece.length > 0) break
    const stop = new AbortController()
    const reason = new Error('enough')
    const ended = (async () => {
      for await (const piece of await streamOf(endless, { signal: stop.signal }))
        if (piece.length > 0) stop.abort(reason)
    })()
    await expect(ended).rejects.toBe(reason)
    expect(closed).toHaveLength(2)
    await Promise.all(closed)
  })
})

describe('the lines of a stream', () => {
  async function* pieces(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
    for (const part of parts) {
      const piece = Buffer.from(part)
      yield piece
      // As a reader of a file does.
      piece.fill(0x58)
    }
  }
  const linesOf = async (...parts: (string | Uint8Array)[]) => {
    const lines = []
    for await (const line of readLines(pieces(...parts))) lines.push(line)
    return lines
  }

  it('are the same however it is cut', async () => {
    const text = 'one\n\nthrée ☕ four\n'
    const bytes = Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      expect(await linesOf(bytes.subarray(0, at), bytes.subarray(at))).toEqual(['one', '', 'thrée ☕ four'])
    }
    expect(await linesOf(...Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(text.split('\n').slice(0, -1))
    expect(await linesOf()).toEqual([])
  })

  it('are refused without an end, when they are no text, and when they have no end in sight', async () => {
    const longest = 'x'.repeat(256 << 10)
    expect(await linesOf(`${longest}\n`)).toEqual([longest])
    for (const parts of [['one\ntwo'], ['\ufeff\n', Uint8Array.of(0xff, 0x0a)], [`${longest}x\n`], [longest, 'x']]) {
      expect(await codeOf(linesOf(...parts))).toBe('log_invalid')
    }
    expect(await linesOf('\ufeffx\n')).toEqual(['\ufeffx'])
  })
})
