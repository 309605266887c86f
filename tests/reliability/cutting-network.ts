import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { ClientConfig } from 'pg'

/**
 * Where a connection breaks, seen from a message to PostgreSQL: nothing of it arrives, or half of it, or all of it, and the connection
 * is gone at once, or when the answer is under way; or no answer ever comes, and nobody is told.
 */
export const cuts = ['before', 'in the middle of', 'right behind', 'at the answer to', 'silently behind'] as const
export type Cut = (typeof cuts)[number]

export interface CuttingNetwork {
  connection: ClientConfig
  /** The next connection that sends this text is cut there, and every other one too where `isEverything`. */
  cut(text: string, at: Cut, isEverything?: boolean): Promise<void>
  close(): Promise<void>
}

const SYNC = Buffer.from([0x53, 0, 0, 0, 4])

/** A network between a process and the real PostgreSQL on its socket. */
export async function openCuttingNetwork(login: ClientConfig): Promise<CuttingNetwork> {
  const pairs = new Set<Socket[]>()
  let armed: { text: string; at: Cut; isEverything: boolean; done: () => void } | undefined

  const server = createServer((near) => {
    const far = connect(join(login.host as string, `.s.PGSQL.${login.port}`))
    const pair = [near, far]
    pairs.add(pair)
    for (const socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => end(pair))
    }
    let met: typeof armed
    let isSilent = false
    function breakDown(): void {
      for (const broken of met?.isEverything ? pairs : [pair]) end(broken)
      met?.done()
      met = undefined
    }
    near.on('data', (chunk: Buffer) => {
      if (met === undefined && armed !== undefined && chunk.includes(armed.text)) {
        met = armed
        armed = undefined
      }
      if (met?.at === 'before') return breakDown()
      far.write(met?.at === 'in the middle of' ? chunk.subarray(0, chunk.length / 2) : chunk)
      if (met?.at === 'in the middle of') return breakDown()
      const isWhole = chunk.subarray(-SYNC.length).equals(SYNC)
      if (met?.at === 'right behind' && isWhole) far.end(breakDown)
    })
    far.on('data', (chunk: Buffer) => {
      if (met?.at === 'at the answer to') return breakDown()
      if (met?.at === 'silently behind') {
        isSilent = true
        met.done()
        met = undefined
      }
      if (!isSilent) near.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  function end(pair: Socket[]): void {
    if (pairs.delete(pair)) for (const socket of pair) socket.destroy()
  }

  return {
    connection: { ...login, host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    cut: (text, at, isEverything = false) => new Promise((done) => (armed = { text, at, isEverything, done })),
    async close() {
      for (const pair of pairs) end(pair)
      server.close()
      await once(server, 'close')
    },
  }
}
