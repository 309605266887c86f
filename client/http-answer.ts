import { z } from 'zod'
import { isClientErrorCode, QflareError } from './errors.ts'

/** ECMA-262 §21.4.1.1: the last point in time that a Date holds. */
const MAX_DATE = 8.64e15

const problem = z.object({
  code: z.string().regex(/^[a-z_]{1,64}$/),
  detail: z.string().max(2000).optional(),
  title: z.string().max(200).optional(),
  requestId: z.string().max(64).optional(),
  // The names of unknown members are as long as the caller likes.
  field: z.string().max(256).optional().catch(undefined),
  now: z.int().min(0).max(MAX_DATE).optional(),
})

/** The JSON of an answer, attacker-controlled and not validated yet. Throws `bad_answer`. */
export async function readJson(response: Response, maxBytes: number): Promise<unknown> {
  await requireAnyType(response, ['application/json', 'application/problem+json'], 'JSON')
  const body = await readLimited(response, maxBytes)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (cause) {
    throw badAnswer(response, 'is not valid JSON', cause)
  }
}

/** The body of an answer of this media type. Throws `bad_answer`. */
export async function readBytes(response: Response, type: string, maxBytes: number): Promise<Uint8Array> {
  await requireType(response, type)
  return readLimited(response, maxBytes)
}

/** Throws `bad_answer`, and reads no further, unless the answer is of this media type; parameters do not matter. */
export function requireType(response: Response, type: string): Promise<void> {
  return requireAnyType(response, [type], type)
}

async function requireAnyType(response: Response, types: readonly string[], what: string): Promise<void> {
  const stated = response.headers.get('content-type') ?? ''
  if (types.includes(stated.split(';')[0]?.trim().toLowerCase() ?? '')) return
  await response.body?.cancel()
  throw badAnswer(response, `is not ${what} but ${stated === '' ? 'of no stated type' : stated.slice(0, 60)}`)
}

/** Checks the shape of an answer; exact lengths and unknown members are the schema's. Throws `bad_answer`. */
export function parseAnswer<S extends z.ZodType>(response: Response, body: unknown, schema: S): z.output<S> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  // Names of unknown members are the sender's, and as long as it likes.
  const where = `"${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`.slice(0, 200)
  throw badAnswer(response, `is malformed at ${where}`, result.error)
}

/** The error that a problem document (RFC 9457) stands for. */
export async function readProblem(response: Response, maxBytes: number): Promise<QflareError> {
  const body = await readJson(response, maxBytes)
  const { success, data } = problem.safeParse(body)
  if (!success || isClientErrorCode(data.code)) return badAnswer(response, 'is no problem document')
  return new QflareError(data.code, data.detail ?? data.title ?? `The server answered ${response.status}.`, {
    status: response.status,
    requestId: data.requestId ?? requestIdOf(response),
    field: data.field,
    now: data.now,
    retryAfterSeconds: retryAfterSecondsOf(response),
  })
}

/** Whole seconds only; the form of Retry-After with a date would need a clock that is right. */
export function retryAfterSecondsOf(response: Response): number | undefined {
  const text = response.headers.get('retry-after') ?? ''
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined
}

function requestIdOf(response: Response): string | undefined {
  return response.headers.get('x-request-id')?.slice(0, 64)
}

function badAnswer(response: Response, what: string, cause?: unknown): QflareError {
  return new QflareError('bad_answer', `The answer (status ${response.status}) ${what}.`, {
    status: response.status,
    requestId: requestIdOf(response),
    retryAfterSeconds: retryAfterSecondsOf(response),
    cause,
  })
}

async function readLimited(response: Response, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => badAnswer(response, `is larger than ${maxBytes} bytes`)
  if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
    await response.body?.cancel()
    throw tooLarge()
  }
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  const reader = response.body?.getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done || value === undefined) break
    sizeBytes += value.length
    if (sizeBytes > maxBytes) {
      await reader?.cancel()
      throw tooLarge()
    }
    chunks.push(value)
  }
  const body = new Uint8Array(sizeBytes)
  let offset = 0
  for (const chunk of chunks) {
    body.set(chunk, offset)
    offset += chunk.length
  }
  return body
}
