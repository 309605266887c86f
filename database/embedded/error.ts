export const embeddedPostgresErrorCodes = [
  'in_use',
  'unsupported_platform',
  'start_failed',
  'initdb_failed',
  'data_unreachable',
  'data_exists',
  'archive_invalid',
] as const

export type EmbeddedPostgresErrorCode = (typeof embeddedPostgresErrorCodes)[number]

/** Why the embedded PostgreSQL is not available. The message is for the operator: it says what to do, and no secret. */
export class EmbeddedPostgresError extends Error {
  readonly code: EmbeddedPostgresErrorCode

  constructor(code: EmbeddedPostgresErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EmbeddedPostgresError'
    this.code = code
  }
}

export function inUseError(dataDirectory: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'in_use',
    `Another QFLARE process uses the data folder ${dataDirectory}; stop it first or set QFLARE_DATA_DIR.`,
  )
}

export function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The `code` of a system or PostgreSQL error ('ENOENT', '57P03'), if it has one. */
export function findErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
