import { isUuid } from '../../protocol/encoding.ts'
import { ServiceError } from '../errors.ts'

/** The `:id` of a path. What is no UUID names nothing: `not_found`. */
export function parseId(params: Record<string, string>): string {
  const { id } = params
  if (id === undefined || !isUuid(id)) throw new ServiceError('not_found', 'There is nothing under this id.')
  return id
}
