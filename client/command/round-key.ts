import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { parseRoundArguments } from './parse-values.ts'
import { openDeviceOf, stateFlag } from './settings.ts'
import { keyOutputFlags, requireOneOutput, showKey } from './show-key.ts'

export const roundKey = defineCommand({
  name: 'round key',
  positionals: ['FEDERATION', 'ROUND'],
  summary:
    "Derives this device's key of a round, which its coordinator has too. It never crosses the network; the server only says of which epoch it is.",
  flags: { ...keyOutputFlags, ...stateFlag },
  examples: ['qflare round key 0199b0a4-7e1c-7000-8000-0000000000fe 7 --out round-7.key'],
  notes:
    'There is none before the coordinator asked for it. A device whose epoch is over tells the server so, and the coordinator can ask again; until then it is epoch_gone. An AES-256 key is the first 32 bytes.',
  async run({ values, positionals }) {
    const { federationId, round } = parseRoundArguments(positionals)
    requireOneOutput(values)
    const crypto = await choosePrimitives()
    const device = await openDeviceOf(values, crypto)
    await showKey(crypto, values, await device.roundKey(federationId, round), { federation: federationId, round })
    return undefined
  },
})
