import { DatabaseError } from '../../database/errors.ts'
import { ServiceError } from '../errors.ts'

const MAX_ATTEMPTS = 8

/**
 * Runs an optimistic change again when somebody changed what it had read. Each attempt reads anew; only requests of one and
 * the same device can be in each other's way. Throws `overloaded` when that does not end.
 */
export async function retryOnConflict<T>(attempt: () => Promise<T>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.code !== 'condition_failed') throw error
      if (attempts === MAX_ATTEMPTS) {
        throw new ServiceError('overloaded', 'This device has too many requests under way at once.', { cause: error })
      }
    }
  }
}
