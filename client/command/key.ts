import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { printResult, toList } from './print.ts'
import { writeSecretFile } from './secret-file.ts'
import { openDeviceOf, stateFlag } from './settings.ts'

const purposes = ['encryption', 'signing', 'round'] as const

export const key = defineCommand({
  name: 'key',
  summary: 'Derives a key of the session for the current epoch. Both ends derive it; it never crosses the network.',
  flags: {
    purpose: {
      type: 'string',
      value: 'PURPOSE',
      choices: purposes,
      default: 'encryption',
      help: 'what the key is for',
    },
    context: {
      type: 'string',
      value: 'BASE64URL',
      help: 'of a round key, and of no other (protocol.md, section 5)',
      parse: parseContext,
      expects: 'base64url without padding',
    },
    reveal: { type: 'boolean', help: 'print the key as base64url: secrets are not shown by accident' },
    out: { type: 'string', value: 'FILE', help: 'write the 64 bytes to a new file of mode 0600' },
    ...stateFlag,
  },
  examples: ['qflare key', 'qflare key --purpose signing --out signing.key'],
  notes: 'An AES-256 key is the first 32 bytes.',
  async run({ values }) {
    const { reveal = false, out, json, purpose, context } = values
    if (reveal && out !== undefined) throw usageError('Either --reveal or --out.')
    if (context !== undefined && purpose !== 'round') throw usageError(`A key of purpose ${purpose} has no context.`)
    if (context === undefined && purpose === 'round') throw usageError('A round key needs its --context.')

    const crypto = await choosePrimitives()
    const device = await openDeviceOf(values, crypto)
    const { key: secret, epoch, sessionId } = await device.key(purpose, { context })
    const fingerprint = Buffer.from(crypto.hash256(secret).subarray(0, 16)).toString('hex')
    if (out !== undefined) await writeSecretFile(out, secret)
    const shown = { sessionId, epoch, purpose, sizeBytes: secret.length, fingerprint }
    const text = toList([
      ['fingerprint', fingerprint],
      ['purpose', purpose],
      ['epoch', epoch],
      ['session', sessionId],
      ['length', `${secret.length} bytes`],
      [
        'key',
        reveal ? toBase64url(secret) : out === undefined ? 'not shown: --reveal prints it, --out FILE writes it' : out,
      ],
    ])
    await printResult(
      json,
      { ...shown, ...(reveal ? { key: toBase64url(secret) } : {}), ...(out ? { file: out } : {}) },
      text,
    )
    return undefined
  },
})

function parseContext(text: string): Uint8Array | undefined {
  try {
    const context = fromBase64url(text)
    return context.length === 0 ? undefined : context
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
