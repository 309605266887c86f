import type { QflareFederations } from '../federations.ts'
import { type Command, defineCommand } from './define-command.ts'
import { deviceIdName } from './device-show.ts'
import { federationIdName, parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'

export const federationAddMember = changeCommand('add-member', 'DEVICE', {
  summary: 'Makes a device a member of a federation. Repeating it changes nothing.',
  done: 'is a member of',
  change: (federations, federationId, id) => federations.addMember(federationId, id),
})

export const federationRemoveMember = changeCommand('remove-member', 'DEVICE', {
  summary: 'Takes a device out of a federation: it gets no more keys of its rounds.',
  done: 'is no member any more of',
  change: (federations, federationId, id) => federations.removeMember(federationId, id),
})

export const federationAddCoordinator = changeCommand('add-coordinator', 'COORDINATOR', {
  summary: 'Lets a coordinator run the rounds of a federation and have their keys. Repeating it changes nothing.',
  done: 'is a coordinator of',
  change: (federations, federationId, id) => federations.addCoordinator(federationId, id),
})

export const federationRemoveCoordinator = changeCommand('remove-coordinator', 'COORDINATOR', {
  summary: 'Takes the rounds of a federation from a coordinator. What keys it has, it keeps.',
  done: 'is no coordinator any more of',
  change: (federations, federationId, id) => federations.removeCoordinator(federationId, id),
})

function changeCommand(
  action: string,
  who: 'DEVICE' | 'COORDINATOR',
  {
    summary,
    done,
    change,
  }: {
    summary: string
    done: string
    change: (federations: QflareFederations, federationId: string, id: string) => Promise<void>
  },
): Command {
  return defineCommand({
    name: `federation ${action}`,
    positionals: ['FEDERATION', who],
    summary,
    flags: stateFlag,
    examples: [`qflare federation ${action} "$FEDERATION" "$${who}"`],
    notes: federationNotes,
    async run({ values, positionals: [federation, typed] }) {
      const federationId = parseIdArgument(federation, federationIdName, 'FEDERATION')
      const id = parseIdArgument(typed, deviceIdName, who)
      await change(await openFederationsOf(values), federationId, id)
      const shown = { federationId, [who === 'DEVICE' ? 'deviceId' : 'coordinatorId']: id }
      await printResult(values.json, shown, `${id} ${done} ${federationId}.`)
      return undefined
    },
  })
}
