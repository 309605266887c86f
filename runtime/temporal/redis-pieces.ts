import type { Redis } from 'ioredis'
import { secretBytes } from '../../protocol/encoding.ts'

/**
 * How a record passes between this process and Redis: eight bytes in a command, one command after another. Redis takes buffers of a
 * connection back when it likes, and frees arguments, as they are: what is left in one place is one such piece, and never two of a record.
 */
const PIECE_BYTES = 8

/**
 * Zeros before every record and before every piece that is written, of the length up to which the log of slow commands keeps an
 * argument: it keeps these.
 */
export const LEAD_BYTES = 128

/**
 * Longer than a command with a piece, and than its answer. It and its answer fit into the least that Redis gives a connection for
 * answers (1 KiB).
 */
const FILLER = ' '.repeat(800)

/** A record is made once and destroyed once. */
const MAX_TRIES = 8

/** Stands over what was sent before, in the buffers of Redis in both directions: it begins them anew with each command and each answer. */
export async function coverPieces(redis: Redis): Promise<void> {
  await redis.echo(FILLER)
}

/** A value under a name that nobody else has: the lead, then the record, from its end to its beginning. False: its time is over already. */
export async function writePieces(
  redis: Redis,
  key: string,
  { record, endsAt }: { record: Uint8Array; endsAt: number },
): Promise<boolean> {
  const made = await redis.multi().set(key, Buffer.alloc(LEAD_BYTES), 'PXAT', endsAt).exists(key).exec()
  const [set, exists] = made ?? []
  const refused = set?.[0] ?? exists?.[0]
  if (refused != null) throw refused
  if (exists?.[1] !== 1) return false
  const last = Math.ceil(record.length / PIECE_BYTES) - 1
  for (let piece = last; piece >= 0; piece--) {
    const bytes = record.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES)
    // Wiped by the connection when it has been sent. The zeros go where the pieces before this one will.
    const argument = Buffer.from(secretBytes(LEAD_BYTES + bytes.length).buffer)
    argument.set(bytes, LEAD_BYTES)
    await redis.setrange(key, piece * PIECE_BYTES, argument)
    argument.fill(0)
  }
  return true
}

/**
 * The record of `length` bytes, as it was at one time. Undefined where there is none; what somebody put there that is no string, or is
 * longer or shorter, is none of ours, and opens as little as no bytes at all.
 */
export async function readPieces(redis: Redis, key: string, length: number): Promise<Uint8Array | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    await redis.watch(key)
    try {
      const isOurs = (await redis.strlen(key)) === LEAD_BYTES + length
      const record = secretBytes(isOurs ? length : 0)
      for (let at = 0; at < record.length; at += PIECE_BYTES) {
        const end = Math.min(at + PIECE_BYTES, length)
        const piece = await redis.getrangeBuffer(key, LEAD_BYTES + at, LEAD_BYTES + end - 1)
        // A copy, at once: the answer is wiped in the next turn.
        record.set(piece.subarray(0, end - at), at)
        piece.fill(0)
      }
      // Null when somebody changed it meanwhile.
      const unchanged = await redis.multi().exists(key).exec()
      if (unchanged !== null) return unchanged[0]?.[1] === 1 ? record : undefined
      record.fill(0)
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE ')) return new Uint8Array(0)
      throw error
    } finally {
      await redis.unwatch()
    }
  }
  throw new Error(`${key} is changed all the time`)
}
