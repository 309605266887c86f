import { expect, test } from 'vitest'
import { scheduledJobs } from '../../../runtime/queue-names.ts'
import { queueNames } from '../../../workers/queue-settings.ts'
import { jobs } from '../../../workers/queues.ts'

test('what operations know of the queues is what the workers have: each of them, with every job that has a schedule', () => {
  const table = queueNames.map((queue) => [
    queue,
    Object.entries(jobs)
      .filter(([, job]) => job.queue === queue && job.schedule !== undefined)
      .map(([name]) => name)
      .toSorted(),
  ])
  const known = Object.entries(scheduledJobs).map(([queue, names]) => [queue, [...names].toSorted()])
  expect(known).toEqual(table)
})
