/** `log_rollback`: the stored log is not the one whose checkpoint was signed last. `checkpoint_lost`: that one is missing. */
export type AuditLogErrorCode = 'log_rollback' | 'checkpoint_lost'

/** The sequencer does not start: the log is not what it was. The message says what to do. */
export class AuditLogError extends Error {
  readonly code: AuditLogErrorCode

  constructor(code: AuditLogErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options)
    this.name = 'AuditLogError'
    this.code = code
  }
}
