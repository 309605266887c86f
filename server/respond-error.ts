import { z } from 'zod'
import { DatabaseError } from '../database/errors.ts'
import { timestamp, uuid } from '../protocol/wire.ts'
import { KekUsesError } from '../runtime/custody/kek-uses.ts'
import type { LogFields, Logger } from '../runtime/logger.ts'
import { TemporalStoreError } from '../runtime/temporal/temporal-key-store.ts'
import { errorCodes, errorTable, ServiceError } from './errors.ts'

/** RFC 9457, with the members of ours: docs/errors.md says what each code means. */
export const problem = z
  .strictObject({
    type: z.string().meta({ description: 'the anchor of the code in docs/errors.md' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(errorCodes),
    requestId: uuid,
    field: z.string().optional().meta({ description: 'the member at fault' }),
    now: timestamp.optional().meta({ description: 'the service’s time, milliseconds since the Unix epoch' }),
  })
  .meta({ id: 'Problem' })
export type Problem = z.output<typeof problem>

/** Every error as an RFC 9457 problem. The detail of a defect is fixed text: what went wrong is in the log, by requestId. */
export function toProblem(
  error: unknown,
  requestId: string,
): { problem: Problem; retryAfterSeconds: number | undefined } {
  const known = toServiceError(error)
  const { status, title } = errorTable[known.code]
  const body = {
    type: `docs/errors.md#${known.code}`,
    title,
    status,
    detail: known.message,
    code: known.code,
    requestId,
    ...known.extra,
  }
  return { problem: body, retryAfterSeconds: known.retryAfterSeconds }
}

/** Refusals are the caller's business; outages and defects are the operator's. */
export function logError(logger: Logger, error: unknown, fields: LogFields): void {
  const { code } = toServiceError(error)
  if (code === 'internal') logger.error('a request met a defect', { ...fields, code }, error)
  // Unlike an outage it does not end by itself.
  else if (isEventRefused(error))
    logger.error('the audit log took no event, and so nothing was changed', { ...fields, code }, error)
  else if (code === 'unavailable') logger.warn('a request met an outage', { ...fields, code })
}

function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  if (error instanceof DatabaseError && error.code === 'unavailable') {
    return new ServiceError('unavailable', 'The database is away.', { cause: error })
  }
  if (error instanceof TemporalStoreError) {
    return new ServiceError('unavailable', 'The store of temporal keys is away.', { cause: error })
  }
  if (error instanceof KekUsesError) {
    return new ServiceError('unavailable', 'Nothing can be sealed now.', { cause: error })
  }
  if (isEventRefused(error)) {
    return new ServiceError('unavailable', 'The audit log takes no event; nothing was changed.', { cause: error })
  }
  return new ServiceError('internal', 'The service failed; its log says more under this requestId.', { cause: error })
}

function isEventRefused(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && error.code === 'event_refused'
}
