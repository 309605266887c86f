/** How many jobs of a queue a process runs at once. Few queues: each costs an idle process a connection and a timer. */
export const queueSettings = {
  /** What keys live and die by; short, and every few seconds. */
  keys: { concurrency: 1 },
  /** Everything else that is over within seconds; one of them may wait for the receiver of notices. */
  maintenance: { concurrency: 3 },
  /** What reads or writes for a long time, one after another. */
  long: { concurrency: 1 },
} as const

export type QueueName = keyof typeof queueSettings
export const queueNames = Object.keys(queueSettings) as QueueName[]

/** A job that was interrupted by the end of its process is another's after at most twice the check and the lock. */
export interface QueueTimes {
  lockMs: number
  stalledCheckMs: number
  /** Between two looks whether every schedule is still there. */
  keepMs: number
  /** A queue that gives no answer for longer is away. */
  answerMs: number
  /** A vital job that did not go well in this process for so long runs here once, whatever its queue says. */
  vitalMs: number
  /** A job that this release does not have goes back for so long, each time. */
  giveBackMs: number
}

export const queueTimes: QueueTimes = {
  lockMs: 30_000,
  stalledCheckMs: 15_000,
  keepMs: 5_000,
  answerMs: 5_000,
  vitalMs: 60_000,
  giveBackMs: 15_000,
}

/** How often a job that no release has is given back, some four hours, before it is kept as failed. */
export const GIVE_BACK_TIMES = 1_000

/** Kept of a queue: runs of the rarer jobs that went well, and those that failed for good. */
export const KEEP_COMPLETED = 200
export const KEEP_FAILED = 1_000
