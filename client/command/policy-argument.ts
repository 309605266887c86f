import { z } from 'zod'
import { type PolicyDocument, policyDocument, policyNone } from '../../protocol/attestation/policy.ts'
import { POLICY_NONE, parsePolicyId } from '../../protocol/attestation/policy-id.ts'
import { usageError } from './exit-codes.ts'
import { cannotRead, readRegularFile, unusable } from './regular-file.ts'
import { openOperatorOf, type ServerFlags } from './settings.ts'

/** What the server takes. */
export const MAX_POLICY_BYTES = 1 << 16

/** NAME or NAME@VERSION. Exit code 2. */
export function parsePolicyArgument(text: string | undefined): { name: string; version: number | undefined } {
  const named = parsePolicyId(text ?? '')
  if (named === undefined) throw usageError('NAME is that of a policy, alone or as NAME@VERSION.')
  return named
}

/** A file, whose name ends in `.json` or has a folder, or else a policy of the server; `none` is known without one. */
export async function openPolicy(flags: ServerFlags, text: string): Promise<{ id: string; document: PolicyDocument }> {
  if (/\.json$|[/\\]/i.test(text)) {
    return { id: text, document: toDocument(text, await readJsonFile(text, MAX_POLICY_BYTES)) }
  }
  const { name, version } = parsePolicyArgument(text)
  if (name === POLICY_NONE) return { id: POLICY_NONE, document: policyNone }
  const { id, policy } = await (await openOperatorOf(flags)).getPolicy(name, version)
  return { id, document: toDocument(id, policy) }
}

/** Exit code 4 for what is no JSON. */
export async function readJsonFile(path: string, maxBytes: number): Promise<unknown> {
  return parseJsonBytes(path, await readRegularFile(path, maxBytes))
}

/** The same, of the bytes of the file. */
export function parseJsonBytes(path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) throw unusable(`${path} is not JSON: ${error.message}.`)
    throw cannotRead(path, error)
  }
}

function toDocument(what: string, value: unknown): PolicyDocument {
  const { success, data, error } = policyDocument.safeParse(value)
  if (!success) throw unusable(`${what} is no policy that this command knows:\n${z.prettifyError(error)}`)
  return data
}
