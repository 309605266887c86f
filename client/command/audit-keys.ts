import { ProtocolError } from '../../protocol/errors.ts'
import { parseVerifierKey, type VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { kid } from '../../protocol/wire.ts'
import type { QflareAuditor } from '../auditor.ts'
import { usageError } from './exit-codes.ts'
import { printable } from './print.ts'
import { readRegularFile, unusable } from './regular-file.ts'

const MAX_KEY_FILE_BYTES = 256 << 10

/** Whose signature counts: keys that are given, or those of the service under a pin. */
export const auditKeyFlags = {
  key: {
    type: 'string',
    value: 'KEY',
    multiple: true,
    help: 'a key of the log that you trust: the line that qflare audit key prints, or a file of such lines',
  },
  pin: {
    type: 'string',
    value: 'KID',
    parse: (text: string) => (kid.safeParse(text).success ? text : undefined),
    expects: 'the kid of a root key: 22 characters, the last part of an enrolment token',
    help: 'the root key that has to vouch for the keys of the service: the last part of an enrolment token',
  },
} as const

/** Each of `given` is a verifier key, or a file of some. Exit code 2 for a key that is none, 4 for such a file. */
export async function readVerifierKeys(crypto: Primitives, given: readonly string[]): Promise<VerifierKey[]> {
  const keys: VerifierKey[] = []
  for (const text of given) {
    if (/^[^+]+\+[0-9a-f]{8}\+/.test(text)) keys.push(parseTyped(crypto, text))
    else keys.push(...(await readKeyFile(crypto, text)))
  }
  return keys
}

function parseTyped(crypto: Primitives, text: string): VerifierKey {
  try {
    return parseVerifierKey(crypto, text)
  } catch (error) {
    throw error instanceof ProtocolError ? usageError(error.message) : error
  }
}

async function readKeyFile(crypto: Primitives, path: string): Promise<VerifierKey[]> {
  const bytes = await readRegularFile(path, MAX_KEY_FILE_BYTES).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw unusable(`${path} is no key, and no file of keys that can be read. ${why}`)
  })
  const lines = bytes.toString('utf8').split('\n').map(trimmed)
  const named = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (named.length === 0) throw unusable(`${path} holds no keys: qflare audit key prints those of a service.`)
  try {
    return named.map((line) => parseVerifierKey(crypto, line))
  } catch (error) {
    throw error instanceof ProtocolError ? unusable(`${path}: ${error.message}`) : error
  }
}

/**
 * The keys that are given, or those of the service. Where nobody vouches for these, that is said on stderr: whoever answers at
 * the URL could have made both the log and its keys.
 */
export async function findLogKeys(
  crypto: Primitives,
  flags: { key?: readonly string[] | undefined; pin?: string | undefined; json?: boolean | undefined },
  auditor: QflareAuditor,
): Promise<VerifierKey[]> {
  if (flags.key !== undefined) return readVerifierKeys(crypto, flags.key)
  const { keys, rootKid } = await auditor.fetchAuditKeys({ pin: flags.pin })
  if (flags.pin === undefined) warnOfKeys(rootKid)
  return keys
}

export function warnOfKeys(rootKid: string): void {
  console.error(
    `qflare: the server itself vouches for these keys, nobody else. Its root key is ${printable(rootKid)}: if that is the last part of an enrolment token that you trust, give it as --pin.`,
  )
}

function trimmed(line: string): string {
  return line.trim()
}
