import { defineCommand } from './define-command.ts'
import { jobsNotes } from './jobs-list.ts'
import { formatTime, printResult, toTable } from './print.ts'
import { openOperatorOf } from './settings.ts'

export const jobsFailed = defineCommand({
  name: 'jobs failed',
  summary: 'Lists runs of jobs that used up their attempts, the newest 200, the newest first.',
  flags: {},
  examples: ['qflare jobs failed'],
  notes: `qflare jobs retry ID runs one again.\n${jobsNotes}`,
  async run({ values }) {
    const items = await (await openOperatorOf(values)).listFailedRuns()
    const now = Date.now()
    const rows = items.map(({ id, job, failedAt, attempts, reason }) => [
      id,
      job,
      formatTime(failedAt, now),
      String(attempts),
      reason,
    ])
    const text =
      items.length === 0 ? 'No run is kept as failed.' : toTable(['ID', 'JOB', 'FAILED', 'ATTEMPTS', 'REASON'], rows)
    await printResult(values.json, { items }, text)
    return undefined
  },
})
