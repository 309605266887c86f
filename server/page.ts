import { type ZodType, z } from 'zod'
import { fromBase64url, isUuid, toBase64url } from '../protocol/encoding.ts'
import { ProtocolError } from '../protocol/errors.ts'

/** A number in a query: decimal digits and nothing else. */
export const decimal = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'Not a decimal number.')
  .transform(Number)
  .meta({ type: 'integer' })

/** `?limit=&cursor=`. A cursor is opaque: the id of the last item. */
export const pageQuery = {
  limit: decimal
    .pipe(z.int().min(1).max(200))
    .default(50)
    .meta({ description: 'items per page; 50 without it', type: 'integer', minimum: 1, maximum: 200 }),
  cursor: cursorOf((id) => (isUuid(id) ? id : undefined)),
}

/** `parse`: what the id of a last item says, undefined for what is none. */
export function cursorOf<T>(parse: (id: string) => T | undefined) {
  return z
    .string()
    .max(128)
    .transform((text, context) => {
      const last = parse(decodeCursor(text) ?? '')
      if (last !== undefined) return last
      context.issues.push({ code: 'custom', message: 'Not a cursor of this list.', input: text })
      return z.NEVER
    })
    .optional()
    .meta({ description: '`nextCursor` of the page before' })
}

/** The answer of a list. */
export function pageOf<S extends ZodType>(item: S) {
  return z.strictObject({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: 'for the next page; null on the last one' }),
  })
}

/** One more than the limit is asked for, so that the last page is known to be the last. */
export function toPage<T extends { id: string }>(
  items: readonly T[],
  limit: number,
): { items: T[]; nextCursor: string | null } {
  const shown = items.slice(0, limit)
  const last = shown.at(-1)
  const nextCursor = items.length > limit && last !== undefined ? toBase64url(new TextEncoder().encode(last.id)) : null
  return { items: shown, nextCursor }
}

function decodeCursor(text: string): string | undefined {
  try {
    return new TextDecoder().decode(fromBase64url(text))
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
