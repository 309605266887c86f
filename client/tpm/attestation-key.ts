import { QflareError } from '../errors.ts'
import { isChildOf, listPersistentHandles, type PublicArea, readPublicArea } from './public-area.ts'
import type { TpmTools } from './tools.ts'

export const akTypes = ['rsa', 'ecc'] as const
export type AkType = (typeof akTypes)[number]

/** In the range that the owner's keys have (TCG Registry of Reserved TPM 2.0 Handles), where nothing known lies. */
export const DEFAULT_AK_HANDLE = '0x8100f1a0'

const schemes = { rsa: ['rsa', 'rsassa'], ecc: ['ecc', 'ecdsa'] } as const

/**
 * The attestation key at a handle: the one that is there, or a new one under this EK, which stays there. `ek`: a handle or a file of
 * a context. Throws `tpm_refused` where something else is there.
 */
export async function findOrMakeAk(
  tools: TpmTools,
  ek: string,
  { handle, type }: { handle: string; type: AkType | undefined },
): Promise<PublicArea> {
  const found = await findAk(tools, handle)
  if (found === undefined) {
    await makeAk(tools, ek, handle, type ?? 'rsa')
    return getAk(tools, handle)
  }
  const parent = await readPublicArea(tools, ek)
  await tools.flush()
  if (!isChildOf(found, parent)) throw occupied(handle, 'a key of another endorsement key')
  if (type !== undefined && found.type !== type) throw occupied(handle, `an attestation key of type ${found.type}`)
  return found
}

/** Throws `tpm_refused` where there is none: the TPM was cleared, or is another one. */
export async function getAk(tools: TpmTools, handle: string): Promise<PublicArea> {
  const found = await findAk(tools, handle)
  if (found !== undefined) return found
  throw new QflareError(
    'tpm_refused',
    `There is no attestation key at ${handle}: the TPM was cleared or is another one. This device has to be enrolled anew.`,
  )
}

async function findAk(tools: TpmTools, handle: string): Promise<PublicArea | undefined> {
  if (!(await listPersistentHandles(tools)).includes(handle)) return undefined
  const area = await readPublicArea(tools, handle)
  const isAk = ['restricted', 'sign', 'fixedtpm', 'fixedparent', 'sensitivedataorigin'].every((attribute) =>
    area.attributes.includes(attribute),
  )
  if (!isAk || area.attributes.includes('decrypt')) throw occupied(handle, 'a key that is no attestation key')
  return area
}

async function makeAk(tools: TpmTools, ek: string, handle: string, type: AkType): Promise<void> {
  const [algorithm, scheme] = schemes[type]
  const kind = ['--key-algorithm', algorithm, '--hash-algorithm', 'sha256', '--signing-algorithm', scheme]
  await tools.run('createak', '--ek-context', ek, '--ak-context', 'ak.ctx', ...kind)
  await tools.flush()
  await tools.run('evictcontrol', '--hierarchy', 'o', '--object-context', 'ak.ctx', handle)
  await tools.flush()
}

function occupied(handle: string, by: string): QflareError {
  return new QflareError('tpm_refused', `At ${handle} of the TPM there is ${by}: choose another handle.`)
}
