import { describe, expect, it } from 'vitest'
import { toTpmError } from '../../../../client/tpm/tool-errors.ts'

/** What tpm2-tools 5.4 and tpm2-tss 3.2 print. */
const noDevice = `ERROR:tcti:src/tss2-tcti/tcti-device.c:452:Tss2_Tcti_Device_Init() Failed to open specified TCTI device file /dev/tpmrm0: No such file or directory
ERROR: Could not load tcti, got: "device:/dev/tpmrm0"`
const noRight = noDevice.replace('No such file or directory', 'Permission denied')
const changed = `WARNING:esys:src/tss2-esys/api/Esys_Unseal.c:295:Esys_Unseal_Finish() Received TPM Error
ERROR:esys:src/tss2-esys/api/Esys_Unseal.c:98:Esys_Unseal() Esys Finish ErrorCode (0x0000099d)
ERROR: Esys_Unseal(0x99D) - tpm:session(1):a policy check failed
ERROR: Unable to run unseal`
const locked = 'ERROR: Esys_EvictControl(0x9A2) - tpm:session(1):authorization failure without DA implications'

describe('why a tool of the TPM failed', () => {
  it.each([
    ['the tools are missing', { code: 'ENOENT' }, '', 'tpm_unavailable', /apt-get install tpm2-tools/],
    ['there is no TPM', { code: 1 }, noDevice, 'tpm_unavailable', /no TPM to be reached \(\/dev\/tpmrm0:?\)/],
    ['the user may not use it', { code: 1 }, noRight, 'tpm_unavailable', /group tss/],
    ['it does not answer', { killed: true, code: null }, '', 'tpm_unavailable', /did not answer tpm2 quote in time/],
    ['it refuses', { code: 1 }, changed, 'tpm_refused', /tpm2 quote: Esys_Unseal\(0x99D\) .*:a policy check failed\.$/],
    ['a hierarchy has a password', { code: 1 }, locked, 'tpm_refused', /have a password/],
  ])('is said: %s', (_why, details, stderr, code, message) => {
    const error = toTpmError('quote', Object.assign(new Error('Command failed'), details), stderr)
    expect(error).toMatchObject({ name: 'QflareError', code, message: expect.stringMatching(message) })
  })
})
