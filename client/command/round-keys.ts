import { toBase64url } from '../../protocol/encoding.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { defineCommand } from './define-command.ts'
import { deviceIdName } from './device-show.ts'
import { usageError } from './exit-codes.ts'
import { fingerprintOf } from './fingerprint.ts'
import { idFlag, parseRoundArguments } from './parse-values.ts'
import { printResult, toTable } from './print.ts'
import { withProgress } from './progress.ts'
import { writeSecretFile } from './secret-file.ts'
import { coordinatorNotes, openDeviceOf, stateFlag } from './settings.ts'

export const roundKeys = defineCommand({
  name: 'round keys',
  positionals: ['FEDERATION', 'ROUND'],
  summary:
    'Gets a key for each member of a federation in a round, sealed to this coordinator; one failing device stops nobody.',
  flags: {
    device: { ...idFlag, multiple: true, expects: `the id of ${deviceIdName}`, help: 'only for this device' },
    reveal: { type: 'boolean', help: 'print the keys as base64url: secrets are not shown by accident' },
    out: { type: 'string', value: 'FILE', help: 'write the keys as JSON to a new file of mode 0600' },
    ...stateFlag,
  },
  examples: ['qflare round keys 0199b0a4-7e1c-7000-8000-0000000000fe 7 --out round-7.json'],
  notes: `With --json: {"epoch", "keys": [{"deviceId", "sessionId", "epoch", "fingerprint"}], "refused": [{"deviceId", "code"}]}; the file of --out has "key" in the place of the fingerprint. protocol.md, section 5, says what the codes mean.\n\n${coordinatorNotes}`,
  async run({ values, positionals }) {
    const { federationId, round } = parseRoundArguments(positionals)
    const { reveal = false, out, json } = values
    if (reveal && out !== undefined) throw usageError('Either --reveal or --out.')
    const crypto = await choosePrimitives()
    const coordinator = await openDeviceOf(values, crypto)
    const ask = () => coordinator.roundKeys(federationId, round, { deviceIds: values.device })
    const { epoch, keys, refused } = await withProgress(ask)
    const revealed = keys.map(({ key, ...names }) => ({ ...names, key: toBase64url(key) }))
    const fingerprints = keys.map(({ key, ...names }) => ({ ...names, fingerprint: fingerprintOf(crypto, key) }))
    if (out !== undefined) await writeSecretFile(out, `${JSON.stringify({ epoch, keys: revealed, refused })}\n`)
    const shown = { epoch, keys: reveal ? revealed : fingerprints, refused, ...(out ? { file: out } : {}) }
    const rows = [
      ...(reveal
        ? revealed.map(({ deviceId, sessionId, epoch: of, key }) => [deviceId, sessionId, String(of), key])
        : fingerprints.map(({ deviceId, sessionId, epoch: of, ...rest }) => [
            deviceId,
            sessionId,
            String(of),
            rest.fingerprint,
          ])),
      ...refused.map(({ deviceId, code }) => [deviceId, 'refused', '', code]),
    ]
    const title = ['DEVICE', 'SESSION', 'EPOCH', reveal ? 'KEY' : 'FINGERPRINT']
    await printResult(json, shown, rows.length === 0 ? 'The federation has no members.' : toTable(title, rows))
    return undefined
  },
})
