import { readFile } from 'node:fs/promises'
import type { DeviceStore } from '../device-state.ts'
import { createFileStore } from '../file-store.ts'
import { isSealed } from '../state-codec.ts'
import { createSealedFileStore, type SealOptions } from '../tpm/sealed-file-store.ts'

/** The file of a device, sealed or not. */
export async function openStateStore(path: string): Promise<DeviceStore> {
  return (await isSealedFile(path)) ? createSealedFileStore(path) : createFileStore(path)
}

/** For a device that is to be made. What is there already is opened as it is, and found to be there. */
export async function makeStateStore(path: string, sealing: SealOptions | undefined): Promise<DeviceStore> {
  return sealing !== undefined && !(await isClearFile(path))
    ? createSealedFileStore(path, sealing)
    : openStateStore(path)
}

export async function isSealedFile(path: string): Promise<boolean> {
  const text = await readText(path)
  return text !== undefined && isSealed(text)
}

async function isClearFile(path: string): Promise<boolean> {
  const text = await readText(path)
  return text !== undefined && !isSealed(text)
}

/** What cannot be read is the store's to say. */
function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined)
}
