import { principalKinds, principalStatuses } from '../../protocol/enrollment.ts'
import { defineCommand } from './define-command.ts'
import { labelFlag, nameFlag, pointInTimeFlag } from './parse-values.ts'
import { formatTime } from './print.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const deviceList = defineCommand({
  name: 'device list',
  summary: 'Lists the devices and coordinators of the organization, the newest first; filters must all hold.',
  flags: {
    status: { type: 'string', value: 'STATUS', choices: principalStatuses, help: 'only those of this status' },
    kind: { type: 'string', value: 'KIND', choices: principalKinds, help: 'only those of this kind' },
    type: { ...labelFlag, help: 'only those of this type' },
    capability: { ...labelFlag, help: 'only those with this capability, among others' },
    name: { ...nameFlag, help: 'only those of exactly this name' },
    'name-prefix': { ...nameFlag, value: 'TEXT', help: 'only those whose name begins so' },
    'seen-after': {
      ...pointInTimeFlag,
      help: 'only those seen since: 2026-11-22, 2026-11-22T06:40:00Z, or 12h ago as 12h',
    },
    'seen-before': {
      ...pointInTimeFlag,
      help: 'only those last seen before; one that was never seen is not among them',
    },
    'rotation-due': { type: 'boolean', help: 'only those whose identity key is flagged as old' },
    ...listFlags,
  },
  examples: [
    'qflare device list --status suspended',
    'qflare device list --type camera --capability gpu --seen-before 7d',
    'qflare device list --all --json',
  ],
  notes: `${listNotes}\n\n${operatorNotes}`,
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const now = Date.now()
    const { status, kind, type, capability, name } = values
    const seen = { lastSeenAfter: values['seen-after'], lastSeenBefore: values['seen-before'] }
    const rotationDue = values['rotation-due'] === true || undefined
    const filter = { status, kind, type, capability, name, namePrefix: values['name-prefix'], ...seen, rotationDue }
    await printList(values, {
      what: 'devices',
      read: (page) => operator.listDevices({ ...filter, ...page }),
      columns: {
        ID: (device) => device.id,
        NAME: (device) => device.name,
        KIND: (device) => device.kind,
        STATUS: (device) => device.status,
        TYPE: (device) => device.type ?? '',
        KEY: (device) => device.identityKey.alg,
        'LAST SEEN': ({ lastSeenAt }) => (lastSeenAt === null ? 'never' : formatTime(lastSeenAt, now)),
      },
    })
    return undefined
  },
})
