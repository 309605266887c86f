import { isUuid } from '../../protocol/encoding.ts'
import { ServiceError } from '../errors.ts'

/** The `:id` of a path, or another part that is one. What is no UUID names nothing: `not_found`. */
export function parseId(params: Record<string, string>, part = 'id'): string {
  const id = params[part]
  if (id === undefined || !isUuid(id)) throw new ServiceError('not_found', 'There is nothing under this id.')
  return id
}

/** The round that a path names: `:id` is its federation. What is no number in its one spelling names nothing: `not_found`. */
export function parseRoundName(params: Record<string, string>): { federationId: string; round: number } {
  const federationId = parseId(params)
  const { round = '' } = params
  if (!/^[1-9][0-9]{0,14}$/.test(round)) throw new ServiceError('not_found', 'The federation has no such round.')
  return { federationId, round: Number(round) }
}
