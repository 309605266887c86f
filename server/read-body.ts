import type { IncomingMessage } from 'node:http'
import { FREE_BODY_BYTES, type GrowBody } from './body-room.ts'
import { ServiceError } from './errors.ts'
import { parseStrictJson, StrictJsonError } from './strict-json.ts'

export const DEFAULT_MAX_BODY_BYTES = FREE_BODY_BYTES
export const EVIDENCE_MAX_BODY_BYTES = 1_048_576

/**
 * The body of a POST, not parsed yet; `grow` is told of each of its pieces. Throws `unsupported_media_type`, `payload_too_large`,
 * `malformed`, and what `grow` throws.
 */
export async function readBody(
  req: IncomingMessage,
  maxBytes = DEFAULT_MAX_BODY_BYTES,
  grow: GrowBody = () => {},
): Promise<Buffer> {
  if (!/^application\/json\s*(;\s*charset=utf-8\s*)?$/i.test(req.headers['content-type'] ?? '')) {
    throw new ServiceError('unsupported_media_type', 'Send Content-Type: application/json.')
  }
  if (req.headers['content-encoding'] !== undefined) {
    throw new ServiceError('unsupported_media_type', 'A body is taken without Content-Encoding.')
  }
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) throw refuse(req, tooLarge(maxBytes))
  const bytes = await readBytes(req, maxBytes, grow)
  // It was answered 408 (client-errors.ts) while the rest was on its way.
  if (req.socket.writableEnded) throw new ServiceError('malformed', 'The body came too late.')
  return bytes
}

/** Attacker-controlled bytes, parsed strictly. Throws `malformed`. */
export function parseBody(bytes: Buffer): unknown {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    if (error instanceof StrictJsonError) throw new ServiceError('malformed', error.message, { cause: error })
    throw error
  }
}

async function readBytes(req: IncomingMessage, maxBytes: number, grow: GrowBody): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // Leaving the loop early must not close the socket: the refusal still has to reach the client.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      grow(size)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ServiceError) throw refuse(req, error)
    throw new ServiceError('malformed', 'The body ended too early.', { cause: error })
  }
  return Buffer.concat(chunks)
}

/**
 * The rest of the body is thrown away as it comes: closing would reset the connection of a client that still sends, and the refusal would
 * be lost. The server's requestTimeout bounds this.
 */
function refuse(req: IncomingMessage, error: ServiceError): ServiceError {
  req.resume()
  return error
}

function tooLarge(maxBytes: number): ServiceError {
  return new ServiceError('payload_too_large', `A body here has at most ${maxBytes} bytes.`)
}
