import type { Response } from 'express'
import { ServiceError } from './errors.ts'

/** What a body takes of no room: as much as most may have, so that only evidence and lists ask for more. */
export const FREE_BODY_BYTES = 65_536
const ROOM_BYTES = 268_435_456

/** Of one body, which is so large now. Throws `overloaded` where there is no room for it. */
export type GrowBody = (bytes: number) => void

/** Memory for the large bodies of strangers: of all requests that are under way together. */
export interface BodyRoom {
  /** What a request takes is free again when its answer is closed. */
  enter(res: Pick<Response, 'once' | 'closed'>): GrowBody
}

/** `onFull`: somebody was turned away. */
export function createBodyRoom(onFull: () => void, roomBytes = ROOM_BYTES): BodyRoom {
  let taken = 0
  return {
    enter(res) {
      let own = 0
      res.once('close', () => {
        taken -= own
      })
      return (bytes) => {
        const more = Math.max(0, bytes - FREE_BODY_BYTES) - own
        if (more === 0 || res.closed) return
        if (taken + more > roomBytes) {
          onFull()
          throw new ServiceError('overloaded', 'Too many large bodies are under way; try again.')
        }
        taken += more
        own += more
      }
    },
  }
}
