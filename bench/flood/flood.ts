import { connect, type Socket } from 'node:net'
import { type BucketCertificate, bucketsAnswer } from '../../protocol/exchange/messages.ts'
import { createForgedMessages, type ForgedNames } from './forged-messages.ts'
import { createOpenRequests, type OpenRequestName } from './open-requests.ts'

// Who floods, in a process of his own: forged exchanges, or other requests of anybody, on a few connections that stay open, many under way on each.

export type FloodOrder = {
  order: 'start'
  url: string
  perSecond: number
  connections: number
  /** Forged exchanges without it. */
  requests?: OpenRequestName
} & ForgedNames
export interface FloodReport {
  seconds: number
  /** Written to a connection. */
  sent: number
  /** Answers by their status; `none` are connections that were lost. */
  answers: Record<string, number>
}

/** The service closes a connection with more than 16. */
const UNDER_WAY = 12
const TURN_MS = 5
const STATUS = /HTTP\/1\.1 (\d{3})/g
/** Of an answer, its status line at least may be cut in two by a read. */
const LONGEST_CUT = 'HTTP/1.1 503'.length - 1

async function start(order: FloodOrder): Promise<() => FloodReport> {
  const { hostname, port, host } = new URL(order.url)
  const next =
    order.requests === undefined
      ? createForgedMessages(host, await fetchCertificate(order.url), order)
      : createOpenRequests(host, order.requests, order.addresses)
  const answers: Record<string, number> = {}
  let sent = 0
  let isOver = false
  const note = (status: string): void => void (answers[status] = (answers[status] ?? 0) + 1)
  const lines = Array.from({ length: order.connections }, () => openLine(() => connect(Number(port), hostname), note))
  const startedAt = performance.now()

  function turn(): void {
    if (isOver) return
    const owed = Math.floor(((performance.now() - startedAt) / 1000) * order.perSecond) - sent
    let left = Math.min(owed, lines.length * UNDER_WAY)
    for (const line of lines) {
      while (left > 0 && line.hasRoom()) {
        line.send(next())
        sent++
        left--
      }
    }
    setTimeout(turn, TURN_MS)
  }
  turn()
  return () => {
    isOver = true
    for (const line of lines) line.close()
    return { seconds: (performance.now() - startedAt) / 1000, sent, answers }
  }
}

async function fetchCertificate(url: string): Promise<BucketCertificate> {
  const answer = await fetch(new URL('/v1/buckets', url))
  const [certificate] = bucketsAnswer.parse(await answer.json()).certificates
  if (certificate === undefined) throw new Error('The service has no certificate.')
  return certificate
}

/** A connection that is opened again when it is lost. */
function openLine(open: () => Socket, note: (status: string) => void) {
  let socket: Socket | undefined
  let underWay = 0
  let isOver = false
  const begin = () => {
    const own = open()
    let kept = ''
    own.setNoDelay()
    own.on('data', (chunk) => {
      const text = kept + chunk.toString('latin1')
      for (const [, status] of text.matchAll(STATUS)) {
        underWay--
        note(String(status))
      }
      kept = text.slice(-LONGEST_CUT)
    })
    own.on('error', () => {})
    own.on('close', () => {
      if (isOver) return
      note('none')
      underWay = 0
      socket = undefined
      setTimeout(begin, TURN_MS)
    })
    own.on('connect', () => {
      if (isOver) own.destroy()
      else socket = own
    })
  }
  begin()
  return {
    hasRoom: () => socket !== undefined && underWay < UNDER_WAY,
    send(message: Buffer) {
      underWay++
      socket?.write(message)
    },
    close() {
      isOver = true
      socket?.destroy()
    },
  }
}

let stop: () => FloodReport = () => ({ seconds: 0, sent: 0, answers: {} })
process.on('message', (order: FloodOrder | { order: 'stop' }) => {
  if (order.order === 'stop') {
    process.send?.(stop())
    process.disconnect?.()
    return
  }
  start(order).then(
    (stopping) => {
      stop = stopping
      process.send?.('started')
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
