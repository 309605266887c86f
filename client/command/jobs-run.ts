import { defineCommand } from './define-command.ts'
import { jobsNotes } from './jobs-list.ts'
import { printResult } from './print.ts'
import { openOperatorOf } from './settings.ts'

export const jobsRun = defineCommand({
  name: 'jobs run',
  positionals: ['NAME'],
  summary: 'Runs a job once, besides its schedule, as soon as a worker is free.',
  flags: {},
  examples: ['qflare jobs run check-audit-log'],
  notes: `NAME is one that qflare jobs list shows.\n${jobsNotes}`,
  async run({ values, positionals: [name = ''] }) {
    const id = await (await openOperatorOf(values)).runJob(name)
    await printResult(values.json, { name, id }, `The job ${name} is in its queue.`)
    return undefined
  },
})
