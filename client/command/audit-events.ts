import { eventColumns, eventFilterFlags, toEventFilter } from './audit-filters.ts'
import { defineCommand } from './define-command.ts'
import { listFlags, listNotes, printList } from './print-list.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'

export const auditEvents = defineCommand({
  name: 'audit events',
  summary: 'Lists events of the audit log, the newest first; filters must all hold.',
  flags: { ...eventFilterFlags, ...listFlags },
  examples: [
    'qflare audit events --device 0199b0a4-7e1c-7000-8000-000000000001 --since 2026-11-22',
    'qflare audit events --severity critical --since 30d',
  ],
  notes: `The list is what the server says; qflare audit proof has one event proved, and qflare audit verify reads the whole log. ${listNotes}\n\n${auditorNotes}`,
  async run({ values }) {
    const auditor = await openAuditorOf(values)
    const filter = toEventFilter(values)
    await printList(values, {
      what: 'events',
      read: (page) => auditor.listEvents({ ...filter, ...page }),
      columns: eventColumns,
    })
    return undefined
  },
})
