import { DatabaseError } from '../database/errors.ts'
import type { LogFields, Logger } from '../runtime/logger.ts'
import { errorTable, ServiceError } from './errors.ts'

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: string
  requestId: string
  field?: string
  now?: number
}

/** Every error as an RFC 9457 problem. The detail of a defect is fixed text: what went wrong is in the log, by requestId. */
export function toProblem(
  error: unknown,
  requestId: string,
): { problem: Problem; retryAfterSeconds: number | undefined } {
  const known = toServiceError(error)
  const { status, title } = errorTable[known.code]
  const problem = {
    type: `docs/errors.md#${known.code}`,
    title,
    status,
    detail: known.message,
    code: known.code,
    requestId,
    ...known.extra,
  }
  return { problem, retryAfterSeconds: known.retryAfterSeconds }
}

/** Refusals are the caller's business; outages and defects are the operator's. */
export function logError(logger: Logger, error: unknown, fields: LogFields): void {
  const { code } = toServiceError(error)
  if (code === 'internal') logger.error('a request met a defect', { ...fields, code }, error)
  else if (code === 'unavailable') logger.warn('a request met an outage', { ...fields, code })
}

function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  if (error instanceof DatabaseError && error.code === 'unavailable') {
    return new ServiceError('unavailable', 'The database is away.', { cause: error })
  }
  return new ServiceError('internal', 'The service failed; its log says more under this requestId.', { cause: error })
}
