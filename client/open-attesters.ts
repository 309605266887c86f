import type { Attester, EvidenceJson } from './attester.ts'
import { confidentialFormats, createConfidentialAttester } from './confidential/confidential-attester.ts'
import { type DeviceStore, getDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'
import { fromStoredTcti } from './tpm/stored-tcti.ts'
import { createTpmAttester, type TpmAttesterOptions } from './tpm/tpm-attester.ts'

export interface StoredAttestersOptions {
  /** As for `openConfidentialAttester`: a state does not say where a kernel is asked. */
  reports?: string | undefined
}

/**
 * The attesters with which the device of a store enrolled, for `openDevice`. Whether their TPM, or the machine, is there shows when they
 * are asked. Throws `not_enrolled`, `state_unusable`, `state_sealed`, and `policy_refused` for one that this version does not know.
 */
export async function openAttesters(store: DeviceStore, options: StoredAttestersOptions = {}): Promise<Attester[]> {
  const { attesters = [] } = await getDeviceState(store)
  return attesters.map(({ format, settings }) => {
    if (format === 'tpm2') return openStoredTpm(settings)
    const known = Object.values(confidentialFormats).find((one) => one === format)
    if (known !== undefined) return createConfidentialAttester(known, toStoredOptions(settings, options))
    throw new QflareError('policy_refused', `This device attests with ${format}: open it with its attester.`)
  })
}

/** Checked as those of a caller are, and more strictly where they name a place. */
function openStoredTpm(settings: TpmAttesterOptions): Attester {
  const attester = createTpmAttester(settings)
  fromStoredTcti(settings.tcti)
  return attester
}

function toStoredOptions(settings: EvidenceJson, { reports }: StoredAttestersOptions) {
  if (settings['reports'] === undefined) return { ...settings, reports }
  throw new QflareError(
    'state_unusable',
    'The state says where a kernel is asked for reports: that is not taken from a file.',
  )
}
