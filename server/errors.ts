/** Status and title of every code that a client can see; docs/errors.md says the rest. */
export const errorTable = {
  malformed: { status: 400, title: 'The request is not well formed' },
  key_invalid: { status: 400, title: 'The key cannot be used' },
  unauthenticated: { status: 401, title: 'Valid credentials are required' },
  enrollment_refused: { status: 401, title: 'The enrolment token cannot be used' },
  exchange_refused: { status: 401, title: 'The exchange was refused' },
  attestation_refused: { status: 401, title: 'The attestation was refused' },
  rotation_refused: { status: 401, title: 'The rotation was refused' },
  confirmation_refused: { status: 401, title: 'The confirmation is wrong' },
  forbidden: { status: 403, title: 'These credentials may not do this' },
  evidence_refused: { status: 403, title: 'The evidence is not enough to be admitted' },
  attestation_required: { status: 403, title: 'The attestation is not enough for this' },
  kind_mismatch: { status: 403, title: 'The token is for something else' },
  not_found: { status: 404, title: 'There is nothing here' },
  method_not_allowed: { status: 405, title: 'This method is not offered here' },
  request_timeout: { status: 408, title: 'The request came too slowly' },
  bucket_out_of_window: { status: 409, title: 'The time bucket is not open' },
  challenge_expired: { status: 409, title: 'The challenge cannot be answered any more' },
  draft_mismatch: { status: 409, title: 'This is not the trust bundle that waits' },
  name_taken: { status: 409, title: 'There is one of this name already' },
  replayed: { status: 409, title: 'This message was used before' },
  round_state: { status: 409, title: 'The state of the round does not allow this' },
  session_state: { status: 409, title: 'The state does not allow this' },
  trust_mismatch: { status: 409, title: 'The signature does not cover what this server gave' },
  attestation_removed: { status: 410, title: 'The attestation was removed by the retention' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body is not application/json' },
  rate_limited: { status: 429, title: 'Too often' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal: { status: 500, title: 'This is a defect of the service' },
  overloaded: { status: 503, title: 'The service is busy' },
  unavailable: { status: 503, title: 'A part that this needs is away' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof errorTable
export const errorCodes = Object.keys(errorTable) as ErrorCode[]

/** What a service refuses. `detail` is shown to the client: it holds no secret, and nothing of another tenant. */
export class ServiceError extends Error {
  readonly code: ErrorCode
  readonly extra: { field?: string; now?: number }
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: ErrorCode,
    detail: string,
    options: { field?: string; now?: number; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(detail, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'ServiceError'
    this.code = code
    this.extra = {
      ...(options.field === undefined ? {} : { field: options.field }),
      ...(options.now === undefined ? {} : { now: options.now }),
    }
    this.retryAfterSeconds = options.retryAfterSeconds ?? (errorTable[code].status === 503 ? 1 : undefined)
  }
}
