import { signatureAlgorithmNames } from '../../protocol/suites.ts'
import { defineCommand } from './define-command.ts'
import { formatTime, printResult, toList } from './print.ts'
import { withProgress } from './progress.ts'
import { openAttestingDeviceOf, stateFlag } from './settings.ts'

export const rotateIdentity = defineCommand({
  name: 'rotate-identity',
  summary: 'Replaces the identity key of this device, which stays who it is; its sessions end, and a new one is made.',
  flags: {
    alg: {
      type: 'string',
      value: 'ALGORITHM',
      choices: signatureAlgorithmNames,
      help: 'of the new key; default: that of the key before, where the server takes it',
    },
    ...stateFlag,
  },
  examples: ['qflare rotate-identity', 'qflare rotate-identity --alg ML-DSA-87 --state /var/lib/edge/device.json'],
  notes:
    'Every other copy of the state is worthless afterwards: an image, a backup, a second machine. When the command is cut off, run it again: it ends what was begun.',
  async run({ values }) {
    const device = await openAttestingDeviceOf(values)
    const before = await device.status()
    const status = await withProgress(() => device.rotateIdentity({ alg: values.alg }))
    const { session, identityKey, deviceId } = status
    if (session === undefined) throw new Error('The session ended before it could be used.')
    const now = Date.now() + session.clockOffsetMs
    const text = toList([
      ['device', deviceId],
      ['identity key', `${identityKey.alg} ${identityKey.kid}`],
      ['in the place of', `${before.identityKey.alg} ${before.identityKey.kid}`],
      ['session', session.sessionId],
      ['expires', formatTime(session.expiresAt, now)],
    ])
    await printResult(values.json, { deviceId, identityKey, replaced: before.identityKey, session }, text)
    return undefined
  },
})
