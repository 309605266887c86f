import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { AbstractConnector } from 'ioredis'
import { secretBytes } from '../protocol/encoding.ts'
import { endOfReplies } from './redis-replies.ts'

interface ConnectorOptions {
  host: string
  port: number
  /** True with `rediss://`. */
  tls?: ConnectionOptions | true | undefined
  disconnectTimeout: number
}

const READ_BYTES = 65_536

/**
 * For ioredis with RESP2: a connection that leaves nothing in this process of what passed through it as bytes. What is written is wiped
 * when the system has it. What is answered is wiped in the next turn of the event loop: who asked for it has copied it by then.
 */
export class WipingConnector extends AbstractConnector {
  readonly #options: ConnectorOptions

  constructor(options: unknown) {
    const known = options as ConnectorOptions
    super(known.disconnectTimeout)
    this.#options = known
  }

  async connect(): Promise<Socket> {
    this.connecting = true
    const { host, port, tls } = this.#options
    // One place for everything that is read: Node frees each of its own unwiped, after it has copied what came.
    const buffer = secretBytes(READ_BYTES)
    const emitReplies = createReplyEmitter((replies) => stream.emit('data', replies))
    const callback = (length: number) => {
      emitReplies(buffer.subarray(0, length))
      buffer.fill(0, 0, length)
      return true
    }
    const place = { host, port, onread: { buffer, callback } }
    const secure = tls === true ? {} : tls
    const stream = wipeWrites(secure === undefined ? connect(place) : connectTls({ ...secure, ...place }))
    stream.once('error', (error) => {
      this.firstError = error
    })
    this.stream = stream
    return stream
  }
}

/** Whole replies only: of what it got in parts ioredis would make copies of its own. */
function createReplyEmitter(emit: (replies: Buffer) => void): (read: Uint8Array) => void {
  let partial = secretBytes(0)
  return (read) => {
    const bytes = secretBytes(partial.length + read.length)
    bytes.set(partial)
    bytes.set(read, partial.length)
    partial.fill(0)
    const end = endOfReplies(bytes)
    partial = secretBytes(bytes.length - end)
    partial.set(bytes.subarray(end))
    bytes.fill(0, end)
    if (end === 0) return
    emit(Buffer.from(bytes.buffer, 0, end))
    setImmediate(() => bytes.fill(0))
  }
}

/** What ioredis writes as bytes it has put together for that alone. */
function wipeWrites(stream: Socket): Socket {
  const write = stream.write.bind(stream)
  stream.write = (data: string | Uint8Array) =>
    write(data, () => {
      if (typeof data !== 'string') data.fill(0)
    })
  return stream
}
