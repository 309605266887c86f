import { defineCommand } from './define-command.ts'
import { jobsNotes } from './jobs-list.ts'
import { printResult } from './print.ts'
import { openOperatorOf } from './settings.ts'

export const jobsRetry = defineCommand({
  name: 'jobs retry',
  positionals: ['ID'],
  summary: 'Runs a job again that was kept as failed, with all its attempts. Every job is safe to repeat.',
  flags: {},
  examples: ['qflare jobs retry long:repeat:check-audit-log:1795834800000'],
  notes: `ID is the one that qflare jobs failed shows.\n${jobsNotes}`,
  async run({ values, positionals: [id = ''] }) {
    await (await openOperatorOf(values)).retryFailedRun(id)
    await printResult(values.json, { id }, `The run ${id} is in its queue again.`)
    return undefined
  },
})
