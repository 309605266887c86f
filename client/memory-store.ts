import { type DeviceStore, parseStoredForm, toStoredForm } from './device-state.ts'
import { QflareError } from './errors.ts'

/** For tests and for devices that live as long as their process. Nothing survives it: such a device enrols every time. */
export function createMemoryStore(): DeviceStore {
  let stored: { revision: number; text: string } | undefined
  return {
    load: async () => (stored === undefined ? undefined : parseStoredForm(stored.text)),
    async save(state) {
      if (state.revision !== (stored?.revision ?? 0) + 1) {
        throw new QflareError('state_changed', 'The state of the device changed in between.')
      }
      stored = { revision: state.revision, text: toStoredForm(state) }
    },
    prepare: async () => undefined,
  }
}
