import type { Attester } from '../attester.ts'
import { type DeviceStore, getDeviceState } from '../device-state.ts'
import { QflareError } from '../errors.ts'
import { fromStoredTcti } from './stored-tcti.ts'
import { createTpmAttester, type TpmAttesterOptions } from './tpm-attester.ts'

/**
 * The attesters with which the device of a store enrolled, for `openDevice`. Whether their TPM is there shows when they are asked.
 * Throws `not_enrolled`, `state_unusable`, `state_sealed`, and `policy_refused` for one that this version does not know.
 */
export async function openAttesters(store: DeviceStore): Promise<Attester[]> {
  const { attesters = [] } = await getDeviceState(store)
  const opened: Attester[] = []
  for (const { format, settings } of attesters) {
    if (format !== 'tpm2') {
      throw new QflareError('policy_refused', `This device attests with ${format}: open it with its attester.`)
    }
    opened.push(openStored(settings))
  }
  return opened
}

/** Checked as those of a caller are, and more strictly where they name a place. */
function openStored(settings: TpmAttesterOptions): Attester {
  const attester = createTpmAttester(settings)
  fromStoredTcti(settings.tcti)
  return attester
}
