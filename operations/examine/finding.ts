/** `unseen`: it could not be looked at, which is no fault by itself. */
export type Level = 'ok' | 'warning' | 'problem' | 'unseen'

/** One thing that was looked at. Texts hold no secret. */
export interface Finding {
  part: string
  level: Level
  message: string
  /** What to do; for everything but `ok`. */
  advice?: string
}

/** Findings of one part. */
export function findingsOf(part: string) {
  return {
    ok: (message: string): Finding => ({ part, level: 'ok', message }),
    warning: (message: string, advice: string): Finding => ({ part, level: 'warning', message, advice }),
    problem: (message: string, advice: string): Finding => ({ part, level: 'problem', message, advice }),
    unseen: (message: string, advice: string): Finding => ({ part, level: 'unseen', message, advice }),
  }
}

/** `1 day`, `12 days`. */
export function daysText(days: number): string {
  return `${days} ${days === 1 ? 'day' : 'days'}`
}

export function errorText(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(errorText).join(', ')
  return error instanceof Error ? error.message : String(error)
}
