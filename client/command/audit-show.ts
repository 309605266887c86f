import { auditEventTypes } from '../../protocol/log/audit-event-types.ts'
import type { IndexedEvent } from '../auditor.ts'
import { actorText } from './audit-filters.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'

/** What ID is, for the error of a wrong one. */
export const eventIdName = 'an event, as qflare audit events shows it'

export const auditShow = defineCommand({
  name: 'audit show',
  positionals: ['ID'],
  summary: 'Shows all of one event, as the server gives it; qflare audit proof verifies it.',
  flags: {},
  examples: ['qflare audit show 0199b0a4-7e1c-7000-8000-00000000000e'],
  notes: `With --json: {"index", "event"}, as docs/api.md describes it.\n\n${auditorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, eventIdName)
    const found = await (await openAuditorOf(values)).getEvent(id)
    await printResult(values.json, found, eventText(found))
    return undefined
  },
})

/** Members that have a row of their own. */
const known = ['v', 'id', 'at', 'organizationId', 'actor', 'type', 'severity', 'subject', 'data', 'requestId', 'salt']

function eventText({ index, event }: IndexedEvent): string {
  const { id, at, type, severity, organizationId, actor, subject, data, requestId, salt } = event
  const { meaning } = Object.entries(auditEventTypes).find(([name]) => name === type)?.[1] ?? { meaning: '' }
  return toList([
    ['event', id],
    ['index', index],
    ['time', formatTime(at, Date.now())],
    ['type', type],
    ['severity', severity],
    ['meaning', meaning],
    ['organization', organizationId],
    ['actor', actorText(actor)],
    ...memberRows('subject', subject),
    ...memberRows('data', data),
    ...memberRows('member', Object.fromEntries(Object.entries(event).filter(([name]) => !known.includes(name)))),
    ['request', requestId],
    ['salt', typeof salt === 'string' ? salt : 'none'],
  ])
}

function memberRows(title: string, members: Record<string, unknown>): [string, string][] {
  return Object.entries(members).map(([name, value]) => [
    title,
    `${name} = ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  ])
}
