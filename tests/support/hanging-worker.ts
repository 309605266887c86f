import { z } from 'zod'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { noTracer } from '../../runtime/tracing/tracer.ts'
import { defineJob } from '../../workers/job.ts'
import { openQueueBackend, openQueues } from '../../workers/open-queues.ts'
import type { WorkerParts } from '../../workers/parts.ts'
import { queueNames } from '../../workers/queue-settings.ts'
import { startWorkers } from '../../workers/start-workers.ts'

// A worker process that hangs in the job `hang` until it is killed; tests/support/job-queues.ts starts it.
const logger = createLogger('silent')
const place = JSON.parse(process.env.QUEUE_PLACE ?? '{}') as Pick<
  Parameters<typeof openQueueBackend>[0],
  'redisUrl' | 'rootKid' | 'connection'
>
const backend = await openQueueBackend({ ...place, workers: queueNames.length, logger })
const hang = defineJob({
  queue: 'maintenance',
  payload: z.unknown(),
  async run() {
    process.stdout.write('hanging\n')
    await new Promise(() => {})
  },
})
startWorkers({
  backend,
  queues: await openQueues(backend, logger),
  jobs: { hang },
  parts: { logger, metrics: createMetrics(), tracer: noTracer, clock: { now: Date.now } } as unknown as WorkerParts,
  times: { lockMs: 800, stalledCheckMs: 300, keepMs: 200, answerMs: 300, vitalMs: 60_000, giveBackMs: 100 },
})
