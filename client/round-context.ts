import { z } from 'zod'
import { roundContext as encodeRound } from '../protocol/exchange/epochs.ts'
import { uuid } from '../protocol/wire.ts'
import { parseInput } from './parse-input.ts'

/** Of which round; a whole number. */
export const roundNames = z.object({ federationId: uuid, round: z.int().min(0) })

/**
 * The context of a key of purpose `round`, so that both ends derive the same one. `federationId`: a UUID as canonical text,
 * 36 characters in lower case. `round`: a whole number from 0 and below 2^53. Throws `input_invalid`.
 */
export function roundContext(federationId: string, round: number): Uint8Array {
  const names = parseInput(roundNames, { federationId, round })
  return encodeRound(names.federationId, names.round)
}
