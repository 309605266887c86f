import type { EventFilter, IndexedEvent, QflareAuditor } from '../auditor.ts'
import { isAnswerLost, QflareError } from '../errors.ts'
import type { Page } from '../pages.ts'
import { wait } from '../wait.ts'
import { eventColumns, eventFilterFlags, toEventFilter } from './audit-filters.ts'
import { defineCommand } from './define-command.ts'
import { parseCount } from './parse-values.ts'
import { printable, toJson } from './print.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'
import { printToReader } from './stdout.ts'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 200
/** Half of what a request a second would be: an API token has a limit of them. */
const POLL_MS = 2000
const AWAY_MS = 5000

export const auditTail = defineCommand({
  name: 'audit tail',
  summary:
    'Prints the last events of the audit log, the oldest first, and with --follow every new one as it is published.',
  flags: {
    follow: { type: 'boolean', short: 'f', help: 'go on until Ctrl-C, which is no error' },
    limit: {
      type: 'string',
      value: 'N',
      parse: parseLimit,
      expects: `a number from 1 to ${MAX_LIMIT}`,
      help: `how many of those that are there; default ${DEFAULT_LIMIT}, at most ${MAX_LIMIT}`,
    },
    ...eventFilterFlags,
  },
  examples: ['qflare audit tail --follow', 'qflare audit tail --follow --severity critical --json'],
  notes: `A server that is away is asked again until it answers. With --json: one {"index", "event"} on each line.\n\n${auditorNotes}`,
  async run({ values }) {
    const { limit = DEFAULT_LIMIT, follow, json } = values
    const stop = new AbortController()
    const onInterrupt = () => stop.abort()
    process.once('SIGINT', onInterrupt)
    try {
      const auditor = (await openAuditorOf(values)).withSignal(stop.signal)
      const filter = toEventFilter(values)
      const { items } = await auditor.listEvents({ ...filter, limit })
      const isRead = await printEvents(items.toReversed(), json)
      if (follow === true && isRead) await followEvents(auditor, filter, items[0]?.index, { json, signal: stop.signal })
    } catch (error) {
      if (!stop.signal.aborted) throw error
    } finally {
      process.off('SIGINT', onInterrupt)
    }
    return undefined
  },
})

/** Until the signal, or until nobody reads any more. */
async function followEvents(
  auditor: QflareAuditor,
  filter: EventFilter,
  from: number | undefined,
  { json, signal }: { json: boolean | undefined; signal: AbortSignal },
): Promise<void> {
  let last = from
  let isAway = false
  let pauseMs = POLL_MS
  for (;;) {
    await wait(pauseMs, signal)
    const page = await findPage(auditor, { ...filter, cursor: last === undefined ? undefined : String(last) })
    if (page instanceof QflareError) {
      if (!isAway) console.error(`qflare: ${printable(page.message)} Trying again.`)
      isAway = true
      pauseMs = AWAY_MS
      continue
    }
    isAway = false
    // A cursor alone would have a server asked without a pause.
    pauseMs = page.nextCursor === null || page.items.length === 0 ? POLL_MS : 0
    last = page.items.at(-1)?.index ?? last
    if (!(await printEvents(page.items, json))) return
  }
}

/** Those behind the cursor; the error of a server that is away for a while. */
async function findPage(
  auditor: QflareAuditor,
  query: EventFilter & { cursor: string | undefined },
): Promise<Page<IndexedEvent> | QflareError> {
  try {
    return await auditor.listEvents({ ...query, order: 'oldest', limit: MAX_LIMIT })
  } catch (error) {
    const isWaiting = error instanceof QflareError && (error.status === 503 || error.status === 429)
    if (isWaiting || isAnswerLost(error)) return error as QflareError
    throw error
  }
}

/** Whether somebody still reads. */
async function printEvents(items: readonly IndexedEvent[], json: boolean | undefined): Promise<boolean> {
  if (items.length === 0) return true
  return printToReader(items.map((item) => (json === true ? toJson(item) : toLine(item))).join('\n'))
}

/** Of fixed width, as they come one by one: index to device, and the id. */
const widths = { TIME: 20, INDEX: 7, SEVERITY: 8, TYPE: 28, ID: 36, ACTOR: 0, DEVICE: 0 }

function toLine(item: IndexedEvent): string {
  return Object.entries(widths)
    .map(([name, width]) => printable(eventColumns[name as keyof typeof widths](item)).padEnd(width))
    .join('  ')
    .trimEnd()
}

function parseLimit(text: string): number | undefined {
  const limit = parseCount(text)
  return limit === undefined || limit > MAX_LIMIT ? undefined : limit
}
