import type { DeviceStatus } from '../device-status.ts'
import { defineCommand } from './define-command.ts'
import { exitCodes } from './exit-codes.ts'
import { formatTime, printResult, toList } from './print.ts'
import { withProgress } from './progress.ts'
import { openAttestingDeviceOf, stateFlag } from './settings.ts'

export const attestCommand = defineCommand({
  name: 'attest',
  summary: 'Proves again in what state this device is, for the session that it has.',
  flags: stateFlag,
  examples: ['qflare attest', 'qflare attest --state /var/lib/edge/device.json --json'],
  notes:
    'qflare keep-fresh does it by itself, as often as the policy asks. A device that is found contraindicated is quarantined: its session ends, and it is refused until an operator clears it.',
  exitNotes: 'Here 1 also when the server found the device to be what it must not be.',
  async run({ values }) {
    const device = await openAttestingDeviceOf(values)
    const answer = await withProgress(() => device.attest())
    const status = await device.status()
    const now = Date.now() + (status.session?.clockOffsetMs ?? 0)
    const text = toList([['device', answer.deviceId], ...attestationRows(status, now)])
    await printResult(values.json, answer, text)
    return answer.status === 'ACTIVE' ? exitCodes.ok : exitCodes.refused
  },
})

/** What the server last found, how old that is, and when it wants the next. `now`: in the server's time. */
export function attestationRows({ attestation, session }: DeviceStatus, now: number): [string, string][] {
  if (attestation === undefined) return []
  const { status, tier, policyId, sessionId, appraisedAt, expiresAt, nextAttestationAt } = attestation
  const isOfBefore = session !== undefined && sessionId !== session.sessionId
  const said = `${tier}, by policy ${policyId}${isOfBefore ? '; not in this session' : ''}`
  return [
    ['attested', status === 'ACTIVE' ? said : `${said}; ${status}: an operator has to clear it`],
    ['appraised', formatTime(appraisedAt, now)],
    ['counts until', formatTime(expiresAt, now)],
    ...(nextAttestationAt === undefined
      ? []
      : [['attest again', formatTime(nextAttestationAt, now)] as [string, string]]),
  ]
}
