export type WitnessErrorCode = 'configuration_invalid' | 'file_unusable' | 'in_use'

/** Why a witness does not start. The message says what to do, and no secret. */
export class WitnessError extends Error {
  readonly code: WitnessErrorCode

  constructor(code: WitnessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'WitnessError'
    this.code = code
  }
}
