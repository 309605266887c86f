import { defineCommand } from './define-command.ts'
import { formatTime, printResult, toTable } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const jobsNotes = `Only an admin of the service may do this: the admin token of the first start is one.\n\n${operatorNotes}`

export const jobsList = defineCommand({
  name: 'jobs list',
  summary: 'Lists the jobs of the service: what runs by itself, when it did and will, and what failed.',
  flags: {},
  examples: ['qflare jobs list'],
  notes: `A job that is late was due half a minute ago, and no worker took it. FAILED counts runs that are kept as failed: qflare jobs failed.\n${jobsNotes}`,
  async run({ values }) {
    const items = await (await openOperatorOf(values)).listJobs()
    const now = Date.now()
    const time = (at: number | null) => (at === null ? '-' : formatTime(at, now))
    const rows = items.map((job) => [
      job.name,
      scheduleText(job),
      job.progress === null ? job.state : `${job.state}, ${job.progress.done} of ${job.progress.total}`,
      time(job.lastStartedAt),
      time(job.nextRunAt),
      String(job.failed),
    ])
    await printResult(values.json, { items }, toTable(['JOB', 'SCHEDULE', 'STATE', 'LAST', 'NEXT', 'FAILED'], rows))
    return undefined
  },
})

function scheduleText({ everySeconds, dailyAt }: { everySeconds: number | null; dailyAt: string | null }): string {
  if (dailyAt !== null) return `daily at ${dailyAt} UTC`
  return everySeconds === null ? 'when asked' : `every ${everySeconds} s`
}
