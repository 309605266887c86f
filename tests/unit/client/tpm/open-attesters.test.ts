import { describe, expect, it } from 'vitest'
import { createMemoryStore } from '../../../../client/memory-store.ts'
import { openAttesters } from '../../../../client/open-attesters.ts'
import { toStoredTcti } from '../../../../client/tpm/stored-tcti.ts'
import { createTpmAttester } from '../../../../client/tpm/tpm-attester.ts'
import { newState } from '../../../support/device-store-contract.ts'

async function storeOf(settings: Record<string, string>) {
  const store = createMemoryStore()
  await store.save({ ...(await newState()), attesters: [{ format: 'tpm2', settings }] })
  return store
}

const harmless = [
  'device',
  'device:/dev/tpmrm0',
  'device:/dev/tpm0',
  'swtpm:path=/run/tpm',
  'mssim',
  'tabrmd:bus_name=x',
]
const harmful = [
  'cmd:id',
  '/tmp/library.so',
  'libtss2-tcti-cmd.so.0:id',
  'device:/etc/passwd',
  'device:/dev/tpm0/../sda',
  '',
]

describe('the place of a TPM in the state of a device', () => {
  it.each(harmless)('is taken from it: %s', async (tcti) => {
    expect(toStoredTcti(tcti)).toBe(tcti)
    const [attester] = await openAttesters(await storeOf({ tcti }))
    expect(attester?.settings).toMatchObject({ tcti })
  })

  it('brings no event log along where it is not stored: that of this machine would be of another TPM', async () => {
    const { settings } = createTpmAttester({ tcti: 'cmd:id' })
    expect(settings).toMatchObject({ eventLog: false })
    expect(createTpmAttester({ ...settings }).settings).toEqual(settings)
    expect(createTpmAttester({ tcti: 'cmd:id', eventLog: '/a/log' }).settings).toMatchObject({ eventLog: '/a/log' })
    for (const tcti of [undefined, 'swtpm']) expect(createTpmAttester({ tcti }).settings).not.toHaveProperty('eventLog')
  })

  it.each(harmful)('is neither stored nor taken from it where it could do anything else: %j', async (tcti) => {
    expect(toStoredTcti(tcti)).toBeUndefined()
    if (tcti !== '') expect(createTpmAttester({ tcti }).settings).not.toHaveProperty('tcti')
    const code = tcti === '' ? 'input_invalid' : 'state_unusable'
    await expect(openAttesters(await storeOf({ tcti }))).rejects.toMatchObject({ code })
  })
})
