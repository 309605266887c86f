/** What the API sees and asks of the queues; workers/read-queues.ts does it. Everything throws when the queues are away. */
export interface JobQueues {
  /** Whether there is a job of this name that runs without a payload. */
  canRun(name: string): boolean
  list(): Promise<JobSummary[]>
  /** Runs that are kept as failed, the newest first, at most 200. */
  listFailed(): Promise<FailedRun[]>
  findFailed(id: string): Promise<FailedRun | undefined>
  /** Puts a failed run back, with all its attempts. False: it is not there, or not failed, any more. */
  retry(id: string): Promise<boolean>
  /** Puts one run into its queue, under this id. */
  run(name: string, runId: string): Promise<void>
  /** What is not well with the queues; undefined when all is. */
  findTrouble(): Promise<string | undefined>
}

export type JobState = 'scheduled' | 'waiting' | 'running' | 'late' | 'lost' | 'on_request'

export interface JobSummary {
  name: string
  queue: string
  /** One of both, or none for a job that runs when it is asked for. */
  everySeconds: number | null
  dailyAt: string | null
  /** late: due for half a minute; lost: not in its queue, and written anew within seconds. */
  state: JobState
  lastStartedAt: number | null
  nextRunAt: number | null
  progress: { done: number; total: number } | null
  /** Of the newest 200 failed runs of its queue. */
  failed: number
}

export interface FailedRun {
  /** Queue and id of the run. */
  id: string
  job: string
  queue: string
  failedAt: number
  attempts: number
  reason: string
}
