import { z } from 'zod'

export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/** One page; `limit` 1 to 200. */
export interface PageQuery {
  limit?: number | undefined
  cursor?: string | undefined
}

export function pageOf<S extends z.ZodType>(item: S) {
  return z.looseObject({ items: z.array(item).max(200), nextCursor: z.string().max(1024).nullable() })
}

/** Every item of a list, page by page. */
export async function* allPages<T>(list: (query: PageQuery) => Promise<Page<T>>): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const page = await list({ limit: 200, cursor })
    yield* page.items
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}

/** Empty, or with its question mark. */
export function toQuery(query: object): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  return parameters.size === 0 ? '' : `?${parameters.toString()}`
}
