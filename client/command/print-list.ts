import { allPages, type Page, type PageQuery } from '../pages.ts'
import { parseCount } from './parse-values.ts'
import { printResult, toTable } from './print.ts'
import { withProgress } from './progress.ts'

const DEFAULT_LIMIT = 100

export const listFlags = {
  limit: {
    type: 'string',
    value: 'N',
    parse: parseCount,
    expects: 'a number from 1',
    help: `how many at most; default ${DEFAULT_LIMIT}`,
  },
  all: { type: 'boolean', help: 'every one of them, however many pages that takes' },
} as const

/** For the notes of a list's help. */
export const listNotes =
  'With --json: {"items": […], "more": …}, the items as docs/api.md describes them; more is true when --limit left some out.'

/**
 * Reads page by page and prints a table or JSON. `columns`: the title of each, and its text; the first one is the id.
 */
export async function printList<T>(
  flags: { limit: number | undefined; all: boolean | undefined; json: boolean | undefined },
  list: { what: string; read: (page: PageQuery) => Promise<Page<T>>; columns: Record<string, (item: T) => string> },
): Promise<void> {
  const limit = flags.all === true ? Number.POSITIVE_INFINITY : (flags.limit ?? DEFAULT_LIMIT)
  const { items, more } = await withProgress((report) => collect(list, limit, report))
  const titles = Object.keys(list.columns)
  const rows = items.map((item) => Object.values(list.columns).map((textOf) => textOf(item)))
  const text = items.length === 0 ? `There are no such ${list.what}.` : toTable(titles, rows)
  await printResult(flags.json, { items, more }, text)
  if (more && flags.json !== true)
    console.error(`There are more ${list.what}: --limit N lists the first N, --all every one.`)
}

async function collect<T>(
  { what, read }: { what: string; read: (page: PageQuery) => Promise<Page<T>> },
  limit: number,
  report: (text: string) => void,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = []
  for await (const item of allPages((page) => read({ ...page, limit: Math.min(200, limit - items.length + 1) }))) {
    if (items.length === limit) return { items, more: true }
    items.push(item)
    report(`${items.length.toLocaleString('en')} ${what}`)
  }
  return { items, more: false }
}
