import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished, vi } from 'vitest'

/** A connection that asked for revocations, heard who is barred, and has read nothing since. */
export interface UnreadStream {
  /** Takes so many bytes more, or what is there of them. */
  take(bytes: number): Promise<void>
  /** Reads whatever is left, to the end of the connection. The ids that it heard, of events that came whole. */
  readOn(): Promise<number[]>
}

/** `localAddress`: all of 127.0.0.0/8 is this machine. */
export async function openUnread(
  service: { url: string },
  token: string,
  { query = '', localAddress = '127.0.0.1' } = {},
): Promise<UnreadStream> {
  const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1', localAddress })
  socket.on('error', () => undefined)
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const head = `Host: x\r\nConnection: close\r\nAuthorization: Bearer ${token}`
  socket.write(`GET /v1/revocations${query} HTTP/1.1\r\n${head}\r\n\r\n`)
  const pieces: Buffer[] = []
  const takeWhatIsThere = (bytes?: number): void => {
    const piece = socket.read(bytes) as Buffer | null
    if (piece !== null) pieces.push(piece)
  }
  await vi.waitFor(() => {
    takeWhatIsThere()
    if (!Buffer.concat(pieces).includes('"isLast":true')) throw new Error('It has heard nothing yet.')
  }, 20_000)
  return {
    async take(bytes) {
      takeWhatIsThere(bytes)
    },
    async readOn() {
      const closed = once(socket, 'close')
      socket.on('readable', () => takeWhatIsThere())
      takeWhatIsThere()
      await closed
      return idsIn(Buffer.concat(pieces).toString('latin1'))
    },
  }
}

function idsIn(answer: string): number[] {
  const whole = bodyOf(answer).split('\n\n').slice(0, -1)
  return whole.flatMap((event) => [...event.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)))
}

/** RFC 9112 §7.1, as much as is there of it. */
function bodyOf(answer: string): string {
  let body = ''
  for (let at = answer.indexOf('\r\n\r\n') + 4; at < answer.length; ) {
    const line = answer.indexOf('\r\n', at)
    if (line === -1) break
    const size = Number.parseInt(answer.slice(at, line), 16)
    body += answer.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
  return body
}
