import { CommandError, exitCodes } from '../client/command/exit-codes.ts'

export type OperationErrorCode =
  | 'no_database'
  | 'database_unusable'
  | 'not_embedded'
  | 'not_owner'
  | 'organization_unknown'
  | 'place_taken'
  | 'no_space'
  | 'backup_incomplete'
  | 'backup_changed'
  | 'backup_newer'
  | 'root_key_missing'
  | 'root_key_wrong'

/** What an operation on this machine refuses. The message says what to do, and no secret. Exit code 1. */
export class OperationError extends CommandError {
  constructor(code: OperationErrorCode, message: string) {
    super(exitCodes.refused, message, code)
    this.name = 'OperationError'
  }
}

/** What the parts below say in errors of their own, as an error of the command; anything else as it is. */
export function toCommandError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CommandError) return error
  const { name, message } = error
  if (name === 'SealError') {
    return new OperationError('root_key_wrong', `${message} Is the root key the one of this database?`)
  }
  const { code, syscall } = error as NodeJS.ErrnoException
  const isExplained = ['ConfigError', 'EmbeddedPostgresError', 'DatabaseError'].includes(name)
  // What the system or PostgreSQL refuses says itself what it is about.
  const isRefusal = syscall !== undefined || /^(08|28|3D|42|53|57|XX)...$/.test(code ?? '')
  return isExplained || isRefusal ? new OperationError('database_unusable', message) : error
}
