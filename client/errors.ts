/** What this side finds wrong by itself. A server's problem document never yields one of these. */
export const clientErrorCodes = [
  'network',
  'timeout',
  'tls_failed',
  'bad_answer',
  'input_invalid',
  'insecure_url',
  'token_invalid',
  'policy_refused',
  'notice_refused',
  'attester_failed',
  'tpm_unavailable',
  'tpm_refused',
  'report_unavailable',
  'certificates_missing',
  'quarantined',
  'suite_refused',
  'clock_refused',
  'not_enrolled',
  'already_enrolled',
  'no_session',
  'epoch_gone',
  'state_unusable',
  'state_changed',
  'state_sealed',
] as const

export type ClientErrorCode = (typeof clientErrorCodes)[number]

/** A code of this library or, as text, one of the server's (docs/errors.md). */
export type QflareErrorCode = ClientErrorCode | (string & {})

export interface QflareErrorDetails extends ErrorOptions {
  /** HTTP status, where there was an answer. */
  status?: number | undefined
  requestId?: string | undefined
  /** The input at fault: a name of the options, or what the server calls it. */
  field?: string | undefined
  /** The server's time in milliseconds since the Unix epoch: `bucket_out_of_window` only. A hint, not authenticated. */
  now?: number | undefined
  retryAfterSeconds?: number | undefined
}

/**
 * What `client/` throws, beside the `ProtocolError` of a message that failed its cryptographic checks. The message may come
 * from the server: it holds no secret, but is not safe to print on a terminal as it is.
 */
export class QflareError extends Error {
  readonly code: QflareErrorCode
  readonly status: number | undefined
  readonly requestId: string | undefined
  readonly field: string | undefined
  readonly now: number | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: QflareErrorCode, message: string, details: QflareErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.name = 'QflareError'
    this.code = code
    this.status = details.status
    this.requestId = details.requestId
    this.field = details.field
    this.now = details.now
    this.retryAfterSeconds = details.retryAfterSeconds
  }
}

export function isClientErrorCode(code: string): code is ClientErrorCode {
  return (clientErrorCodes as readonly string[]).includes(code)
}

/** What a proxy says whose server went away; what it stands before may have acted on the request. */
const lostAtProxy = [502, 503, 504]

/** Whether a request got no answer of the server: it may have acted on it. */
export function isAnswerLost(error: unknown): boolean {
  if (!(error instanceof QflareError)) return false
  if (error.code === 'bad_answer') return error.status !== undefined && lostAtProxy.includes(error.status)
  return error.code === 'network' || error.code === 'timeout'
}
