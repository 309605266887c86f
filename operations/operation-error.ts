import { CommandError, exitCodes } from '../client/command/exit-codes.ts'
import { ConfigError } from '../runtime/config.ts'
import { WitnessError } from '../witness/witness-error.ts'

export type OperationErrorCode =
  | 'configuration_invalid'
  | 'interrupted'
  | 'in_use'
  | 'file_unusable'
  | 'no_database'
  | 'database_unusable'
  | 'not_embedded'
  | 'not_own_database'
  | 'not_owner'
  | 'organization_unknown'
  | 'place_taken'
  | 'no_space'
  | 'backup_incomplete'
  | 'backup_changed'
  | 'backup_newer'
  | 'root_key_missing'
  | 'root_key_wrong'
  | 'root_offline'
  | 'root_file_wrong'
  | 'trust_domain_wrong'
  | 'profile_wrong'

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
  if (error instanceof ConfigError) return new OperationError('configuration_invalid', error.message)
  if (error instanceof WitnessError) return new OperationError(error.code, error.message)
  const { name, message } = error
  const { code = '', syscall } = error as NodeJS.ErrnoException
  if (name === 'SealError') {
    return new OperationError('root_key_wrong', `${message} Is the root key the one of this database?`)
  }
  if (name === 'EmbeddedPostgresError') {
    return new OperationError(code === 'in_use' ? 'in_use' : 'database_unusable', toOneLine(message))
  }
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) {
    return new OperationError('no_space', `There is no room (${message}).`)
  }
  // What the system or PostgreSQL refuses says itself what it is about.
  if (name === 'FileError' || (syscall !== undefined && !netSyscalls.has(syscall))) {
    return new OperationError('file_unusable', message)
  }
  const isRefusal = syscall !== undefined || name === 'DatabaseError' || /^(08|28|3D|42|53|57|XX)...$/.test(code)
  return isRefusal ? new OperationError('database_unusable', toOneLine(message)) : error
}

/** Of the connection to the database; every other one is of a file. */
const netSyscalls = new Set(['connect', 'read', 'write', 'getaddrinfo'])

function toOneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ')
}
