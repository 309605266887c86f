import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { getDeviceState } from '../device-state.ts'
import { createEncodedFileStore, createFileStore } from '../file-store.ts'
import { clearCodec, type StateCodec } from '../state-codec.ts'
import { createSealedCodec } from '../tpm/sealed-file-store.ts'
import { defineCommand } from './define-command.ts'
import { printResult } from './print.ts'
import { withProgress } from './progress.ts'
import { stateFlag, statePath } from './settings.ts'
import { isSealedFile } from './state-store.ts'
import { sealingFlags, toSealOptions } from './tpm-flags.ts'

export const seal = defineCommand({
  name: 'seal',
  isLocal: true,
  summary: 'Encrypts the state of this device under a key that its TPM gives out while its PCRs are as they are now.',
  flags: { ...sealingFlags, ...stateFlag },
  examples: ['qflare seal', 'qflare seal --seal-pcrs 0,2,4,7 --state /var/lib/edge/device.json'],
  notes:
    'Programs that hold the device go on with the old form until they are started again: stop them first. What the file held before may be left in old blocks of the disk.',
  async run({ values }) {
    const path = statePath(values)
    if (await isSealedFile(path)) {
      await printResult(values.json, { stateFile: path, sealed: true }, `${path} is sealed already.`)
      return undefined
    }
    const options = toSealOptions({ ...values, seal: true }) ?? {}
    const codec = createSealedCodec(await choosePrimitives(), options)
    await withProgress(() => rewrite(path, clearCodec, codec))
    await printResult(values.json, { stateFile: path, sealed: true }, `${path} is sealed to the TPM.`)
    return undefined
  },
})

export const unseal = defineCommand({
  name: 'unseal',
  isLocal: true,
  summary: 'Writes the sealed state of this device in clear again.',
  flags: stateFlag,
  examples: ['qflare unseal', 'qflare seal'],
  notes: 'Before what changes the PCRs on purpose, an update of the firmware above all; qflare seal afterwards.',
  async run({ values }) {
    const path = statePath(values)
    if (await isSealedFile(path)) {
      const codec = createSealedCodec(await choosePrimitives(), {})
      await withProgress(() => rewrite(path, codec, clearCodec))
    } else {
      await getDeviceState(createFileStore(path))
    }
    await printResult(
      values.json,
      { stateFile: path, sealed: false },
      `${path} is in clear: who reads it is the device.`,
    )
    return undefined
  },
})

/** As every save: all or nothing, and only if nobody saved in between. */
async function rewrite(path: string, from: StateCodec, to: StateCodec): Promise<void> {
  const store = createEncodedFileStore(path, { prepare: to.prepare, encode: to.encode, decode: from.decode })
  const state = await getDeviceState(store)
  await to.prepare()
  await store.save({ ...state, revision: state.revision + 1 })
}
