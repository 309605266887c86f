export const protocolErrorCodes = [
  'encoding_invalid',
  'key_invalid',
  'signature_invalid',
  'certificate_invalid',
  'bucket_out_of_window',
  'confirmation_invalid',
  'trust_invalid',
  'ciphertext_invalid',
  'log_invalid',
  'round_invalid',
  'corim_invalid',
  'evidence_malformed',
  'evidence_refused',
  'crypto_unavailable',
] as const

export type ProtocolErrorCode = (typeof protocolErrorCodes)[number]

/** The only error that `protocol/` throws on purpose. Its message may be shown to the peer: it never holds a secret. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode
  /** Of evidence that is refused: which check it failed, `<format>.<check>`. */
  readonly check: string | undefined

  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions & { check?: string | undefined }) {
    super(message, options)
    this.name = 'ProtocolError'
    this.code = code
    this.check = options?.check
  }
}
