import { createHash } from 'node:crypto'
import { QflareError } from '../errors.ts'
import type { TpmTools } from './tools.ts'

/** What a TPM says of one of its keys. */
export interface PublicArea {
  /** TPM2B_PUBLIC. */
  bytes: Uint8Array
  /** Hash algorithm and digest, as the TPM has it. */
  name: Uint8Array
  qualifiedName: Uint8Array
  attributes: readonly string[]
  type: string
}

const hashNames: Record<number, string> = { 0x000b: 'sha256', 0x000c: 'sha384', 0x000d: 'sha512' }

/** `object`: a handle, or a file of a context. */
export async function readPublicArea(tools: TpmTools, object: string): Promise<PublicArea> {
  const text = await tools.run('readpublic', '--object-context', object, '--output', 'public')
  return {
    bytes: await tools.read('public'),
    name: hexOf(text, /^name: ([0-9a-f]+)$/m),
    qualifiedName: hexOf(text, /^qualified name: ([0-9a-f]+)$/m),
    attributes: /^attributes:\n {2}value: (\S+)$/m.exec(text)?.[1]?.split('|') ?? [],
    type: /^type:\n {2}value: (\S+)$/m.exec(text)?.[1] ?? '',
  }
}

/** Whether a key was made under a parent: the TPM computes qualified names from one to the next (TPM 2.0 Part 1, "Qualified Name"). */
export function isChildOf(child: PublicArea, parent: PublicArea): boolean {
  const algorithm = hashNames[((child.name[0] ?? 0) << 8) | (child.name[1] ?? 0)]
  if (algorithm === undefined) return false
  const digest = createHash(algorithm).update(parent.qualifiedName).update(child.name).digest()
  return Buffer.concat([child.name.subarray(0, 2), digest]).equals(child.qualifiedName)
}

/** Handles as the TPM lists them, in lower case. */
export async function listPersistentHandles(tools: TpmTools): Promise<string[]> {
  return listed(await tools.run('getcap', 'handles-persistent'))
}

export async function listNvIndices(tools: TpmTools): Promise<string[]> {
  return listed(await tools.run('getcap', 'handles-nv-index'))
}

function listed(text: string): string[] {
  return (text.match(/0x[0-9a-f]+/gi) ?? []).map((handle) => `0x${handle.slice(2).toLowerCase()}`)
}

function hexOf(text: string, pattern: RegExp): Uint8Array {
  const hex = pattern.exec(text)?.[1]
  if (hex === undefined) throw new QflareError('tpm_refused', 'tpm2 readpublic says something else than it used to.')
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
