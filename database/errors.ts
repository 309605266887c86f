import { DatabaseError as PostgresError } from 'pg'

export type DatabaseErrorCode =
  /** Nothing is known to be stored; try again. */
  | 'unavailable'
  /** A conditional change did not hit its one row: somebody was faster. */
  | 'condition_failed'
  | 'duplicate'
  /** An event was not stored, and so nothing is of the change that it tells of; somebody has to look why. */
  | 'event_refused'
  /** This server may not be used; the message says why and what to do. */
  | 'refused'

export class DatabaseError extends Error {
  readonly code: DatabaseErrorCode

  constructor(code: DatabaseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DatabaseError'
    this.code = code
  }
}

/** SQLSTATE of the function `expect_one`. */
const EXPECT_ONE = 'QF001'
const UNIQUE_VIOLATION = '23505'
/** Classes 08 (connection), 53 (resources), 57 (operator intervention) and the retryable transaction aborts of class 40. */
const unavailableClasses = new Set(['08', '53', '57', '40'])

/** A driver's error as ours; what is neither expected nor an outage stays what it is: a defect. */
export function toDatabaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DatabaseError) return error
  const sqlState = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (sqlState === EXPECT_ONE) return new DatabaseError('condition_failed', error.message, { cause: error })
  if (sqlState === UNIQUE_VIOLATION) return new DatabaseError('duplicate', error.message, { cause: error })
  if (unavailableClasses.has(sqlState.slice(0, 2)) || isConnectionError(sqlState, error.message)) {
    return new DatabaseError('unavailable', error.message, { cause: error })
  }
  return error
}

/**
 * The same for what stores events. A refusal that names no table is taken for the event's: a file that cannot grow or a right that
 * is missing is told without one, and a change in one statement with its event cannot be told from it.
 */
export function toEventError(error: unknown): unknown {
  const known = toDatabaseError(error)
  if (!(error instanceof PostgresError)) return known
  const isOfEvents = error.table?.startsWith('audit_outbox') ?? !(known instanceof DatabaseError)
  return isOfEvents ? new DatabaseError('event_refused', error.message, { cause: error }) : known
}

function isConnectionError(code: string, message: string): boolean {
  return (
    /^E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|NOENT|HOSTUNREACH|NOTFOUND)$/.test(code) ||
    /connection terminated|connection error|timeout exceeded when trying to connect|client was closed|query read timeout/i.test(
      message,
    )
  )
}
