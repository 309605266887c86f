import { type Logger as PinoLogger, pino } from 'pino'
import type { Config } from './config.ts'

/** All that may be logged: what is not named here is dropped, so that no secret is logged by accident. */
const allowedFields = [
  'address',
  'apiTokenId',
  'bucket',
  'code',
  'count',
  'deviceId',
  'durationMs',
  'epoch',
  'generation',
  'incidentId',
  'method',
  'names',
  'offsetMs',
  'organizationId',
  'part',
  'requestId',
  'route',
  'sessionId',
  'status',
  'traceId',
  'url',
] as const

export type LogFields = Partial<Record<(typeof allowedFields)[number], string | number | readonly string[] | undefined>>

export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  /** `cause` is logged by name, message and stack: errors never hold secrets. */
  error(message: string, fields?: LogFields, cause?: unknown): void
}

/** Node writes files and pipes at once, so that nothing is lost at the end. */
function standardOutput(): NodeJS.WritableStream {
  // A full disk or a closed pipe costs the log, not the service.
  if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => {})
  return process.stdout
}

export function createLogger(level: Config['logLevel'], destination?: NodeJS.WritableStream): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  const output: PinoLogger = pino(options, destination ?? standardOutput())
  return {
    debug: (message, fields) => output.debug(allowed(fields), message),
    info: (message, fields) => output.info(allowed(fields), message),
    warn: (message, fields) => output.warn(allowed(fields), message),
    error: (message, fields, cause) => output.error({ ...allowed(fields), ...describeError(cause) }, message),
  }
}

function allowed(fields: LogFields = {}): LogFields {
  return Object.fromEntries(allowedFields.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])))
}

function describeError(cause: unknown): {
  error?: { name: string; message: string; stack: string | undefined; cause?: string }
} {
  if (!(cause instanceof Error)) return {}
  const { name, message, stack } = cause
  return { error: { name, message, stack, ...(cause.cause instanceof Error ? { cause: cause.cause.message } : {}) } }
}
