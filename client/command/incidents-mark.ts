import { type Command, defineCommand } from './define-command.ts'
import { incidentIdName } from './incidents-show.ts'
import { parseIdArgument } from './parse-values.ts'
import { printable, printResult } from './print.ts'
import { openIncidentsOf, operatorNotes } from './settings.ts'

export const incidentsAcknowledge = markCommand(
  'acknowledge',
  'Says that an incident is being looked at, so that nobody else has to. Repeating it changes nothing.',
)

export const incidentsResolve = markCommand(
  'resolve',
  'Says that an incident is over: when the same happens again, it is a new one. Repeating it changes nothing.',
)

/** Nothing is lost by it, so that nobody is asked. */
function markCommand(action: 'acknowledge' | 'resolve', summary: string): Command {
  return defineCommand({
    name: `incidents ${action}`,
    positionals: ['ID'],
    summary,
    flags: {},
    examples: [`qflare incidents ${action} 0199b0a4-7e1c-7000-8000-0000000000aa`],
    notes: `What the service did with a device stays done: qflare incidents show has the commands that undo it. With --json: the incident as docs/api.md describes it.\n\n${operatorNotes}`,
    async run({ values, positionals: [typed] }) {
      const id = parseIdArgument(typed, incidentIdName)
      const incidents = await openIncidentsOf(values)
      const marked = await (action === 'resolve' ? incidents.resolveIncident(id) : incidents.acknowledgeIncident(id))
      await printResult(values.json, marked, `${marked.id} is ${printable(marked.status)}.`)
      return undefined
    },
  })
}
