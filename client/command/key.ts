import { fromBase64url } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { openDeviceOf, stateFlag } from './settings.ts'
import { keyOutputFlags, requireOneOutput, showKey } from './show-key.ts'

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
    ...keyOutputFlags,
    ...stateFlag,
  },
  examples: ['qflare key', 'qflare key --purpose signing --out signing.key'],
  notes: 'An AES-256 key is the first 32 bytes.',
  async run({ values }) {
    const { purpose, context } = values
    requireOneOutput(values)
    if (context !== undefined && purpose !== 'round') throw usageError(`A key of purpose ${purpose} has no context.`)
    if (context === undefined && purpose === 'round') throw usageError('A round key needs its --context.')

    const crypto = await choosePrimitives()
    const device = await openDeviceOf(values, crypto)
    await showKey(crypto, values, await device.key(purpose, { context }), { purpose })
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
