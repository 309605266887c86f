import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { printResult, toList, writeSecretFile } from './print.ts'
import { openDeviceOf, stateFlag, stateHelp } from './settings.ts'

const purposes = ['encryption', 'signing', 'round'] as const

export const key = defineCommand({
  usage: 'key [--purpose encryption|signing|round] [--context BASE64URL] [--reveal | --out FILE] [--state FILE]',
  summary: 'Derives a key of the session for the current epoch. Both ends derive it; it never crosses the network.',
  flags: `  --purpose PURPOSE encryption (default), signing or round
  --context TEXT    base64url; only a round key has one (protocol.md, section 5)
  --reveal          print the key as base64url: secrets are not shown by accident
  --out FILE        write the 64 bytes to a new file of mode 0600
${stateHelp}`,
  notes: 'An AES-256 key is the first 32 bytes.',
  options: {
    ...stateFlag,
    purpose: { type: 'string', default: 'encryption' },
    context: { type: 'string' },
    reveal: { type: 'boolean' },
    out: { type: 'string' },
  },
  async run({ values }) {
    const { reveal = false, out, json } = values
    const purpose = purposes.find((known) => known === values.purpose)
    if (purpose === undefined) throw usageError(`--purpose is one of ${purposes.join(', ')}.`)
    if (reveal && out !== undefined) throw usageError('Either --reveal or --out.')
    const context = parseContext(values.context)
    if (context !== undefined && purpose !== 'round') throw usageError(`A key of purpose ${purpose} has no context.`)

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
    printResult(
      json,
      { ...shown, ...(reveal ? { key: toBase64url(secret) } : {}), ...(out ? { file: out } : {}) },
      text,
    )
    return undefined
  },
})

function parseContext(text: string | undefined): Uint8Array | undefined {
  try {
    return text === undefined ? undefined : fromBase64url(text)
  } catch (error) {
    if (error instanceof ProtocolError) throw usageError(`--context: ${error.message}`)
    throw error
  }
}
