import { ProtocolError } from '../protocol/errors.ts'
import { parseVerifierKey, type VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { WitnessError } from './witness-error.ts'

/** The keys of each log, by its origin. */
export type FollowedLogs = ReadonlyMap<string, readonly VerifierKey[]>

/** A verifier key as it was given. `where` names its place, for who has to correct it. */
export interface GivenKey {
  where: string
  vkey: string
}

/** One key a line; empty lines, and those that begin with `#`, are skipped. */
export function listKeysOfFile(path: string, text: string): GivenKey[] {
  return text
    .split('\n')
    .map((line, index) => ({ where: `${path}, line ${index + 1}`, vkey: line.trim() }))
    .filter(({ vkey }) => vkey !== '' && !vkey.startsWith('#'))
}

/** A log may have several keys. Throws `configuration_invalid`. */
export function parseFollowedLogs(crypto: Primitives, given: readonly GivenKey[]): FollowedLogs {
  const logs = new Map<string, VerifierKey[]>()
  for (const { where, vkey } of given) {
    const key = parseKey(crypto, where, vkey)
    logs.set(key.name, [...(logs.get(key.name) ?? []), key])
  }
  return logs
}

function parseKey(crypto: Primitives, where: string, vkey: string): VerifierKey {
  try {
    return parseVerifierKey(crypto, vkey)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new WitnessError('configuration_invalid', `${where}: ${error.message}`, { cause: error })
  }
}
