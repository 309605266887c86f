import { toBase64url } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { DeviceKey } from '../device-keys.ts'
import { usageError } from './exit-codes.ts'
import { fingerprintOf } from './fingerprint.ts'
import { printResult, toList } from './print.ts'
import { writeSecretFile } from './secret-file.ts'

export const keyOutputFlags = {
  reveal: { type: 'boolean', help: 'print the key as base64url: secrets are not shown by accident' },
  out: { type: 'string', value: 'FILE', help: 'write the 64 bytes to a new file of mode 0600' },
} as const

interface Output {
  reveal: boolean | undefined
  out: string | undefined
}

/** Exit code 2 for both at once. */
export function requireOneOutput({ reveal, out }: Output): void {
  if (reveal === true && out !== undefined) throw usageError('Either --reveal or --out.')
}

/** Its fingerprint, and the key itself where that was asked for. `names`: what else is said of it. Exit code 4. */
export async function showKey(
  crypto: Primitives,
  flags: Output & { json: boolean | undefined },
  { key, epoch, sessionId }: DeviceKey,
  names: Record<string, string | number>,
): Promise<void> {
  const { reveal = false, out, json } = flags
  const fingerprint = fingerprintOf(crypto, key)
  if (out !== undefined) await writeSecretFile(out, key)
  const shown = { sessionId, epoch, ...names, sizeBytes: key.length, fingerprint }
  const hidden = out === undefined ? 'not shown: --reveal prints it, --out FILE writes it' : out
  const text = toList([
    ['fingerprint', fingerprint],
    ...Object.entries(names),
    ['epoch', epoch],
    ['session', sessionId],
    ['length', `${key.length} bytes`],
    ['key', reveal ? toBase64url(key) : hidden],
  ])
  await printResult(
    json,
    { ...shown, ...(reveal ? { key: toBase64url(key) } : {}), ...(out ? { file: out } : {}) },
    text,
  )
}
