import { type DeviceState, parseStoredForm, toStoredForm } from './device-state.ts'
import { QflareError } from './errors.ts'

/** How a state is written down, and read again. */
export interface StateCodec {
  /** Before anything is written: that it can be, and can be read again. */
  prepare(): Promise<void>
  encode(state: DeviceState): Promise<string>
  /** Untrusted text. Throws `state_unusable`, `state_sealed`. */
  decode(text: string): Promise<DeviceState>
}

/** Whoever reads it is the device. */
export const clearCodec: StateCodec = {
  prepare: async () => undefined,
  encode: async (state) => toStoredForm(state),
  async decode(text) {
    if (isSealed(text)) {
      throw new QflareError(
        'state_sealed',
        'The state is sealed to a TPM: createSealedFileStore of qflare/tpm opens it.',
      )
    }
    return parseStoredForm(text)
  },
}

/** Whether it is the text of a state that is sealed, or says that it is. */
export function isSealed(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'sealed' in value
  } catch {
    return false
  }
}
