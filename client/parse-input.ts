import type { z } from 'zod'
import { QflareError } from './errors.ts'

/** What a caller gave, checked before anything is sent or stored: JavaScript has no types. Throws `input_invalid`. */
export function parseInput<S extends z.ZodType>(schema: S, input: z.input<S>): z.output<S> {
  const { success, data, error } = schema.safeParse(input)
  if (success) return data
  const [issue] = error.issues
  const field = issue?.path.join('.') ?? ''
  throw new QflareError('input_invalid', `${field}: ${issue?.message ?? 'Not as expected.'}`, { field })
}
