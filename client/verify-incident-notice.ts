import { z } from 'zod'
import { incidentNotice } from '../protocol/monitor/incident-notice.ts'
import { isSignedWebhook, parseWebhookSecret } from '../protocol/monitor/webhook-signature.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import { QflareError } from './errors.ts'

/** What the service says of an incident. `id` is the same at each try: what was seen before is not to be acted on again. */
export type IncidentNotice = { id: string } & z.output<typeof incidentNotice>

/** As Node or a page has them: names in lower case, or something with `get`. */
export type IncidentNoticeHeaders =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>

const TOLERANCE_SECONDS = 300
/** Without a full stop, which would let a part of it be taken for another. */
const idForm = /^[A-Za-z0-9_-]{1,64}$/

/**
 * The notice in a request that the service made to the receiver of its notices: signed with this secret, or with one of these, and
 * within five minutes of `now`, in milliseconds since the Unix epoch. `body` is as it came, byte for byte. Whether its `id` was seen
 * before the caller has to know: within the five minutes, whoever recorded a request can send it again. Throws `notice_refused`,
 * and `input_invalid` for what is no secret.
 */
export async function verifyIncidentNotice(
  secret: string | readonly string[],
  headers: IncidentNoticeHeaders,
  body: Uint8Array | string,
  now: number,
): Promise<IncidentNotice> {
  const keys = [secret].flat().map(parseSecret)
  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signature = headerOf(headers, 'webhook-signature')
  if (!idForm.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) throw refusal('It has not the headers of a notice.')
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const message = { id, timestampSeconds: Number(timestamp), body: bytes }
  if (!isSignedWebhook(await choosePrimitives(), keys, message, signature)) {
    throw refusal('It is not signed with this secret.')
  }
  if (!(Math.abs(now / 1000 - message.timestampSeconds) <= TOLERANCE_SECONDS)) {
    throw refusal('It was signed more than five minutes before or after this.')
  }
  return { id, ...parseNotice(bytes) }
}

function parseSecret(text: string): Uint8Array {
  const key = parseWebhookSecret(text)
  if (key !== undefined) return key
  throw new QflareError('input_invalid', 'secret: Not whsec_ and base64 of 24 to 64 bytes.', { field: 'secret' })
}

/** Of one that stands there twice nothing counts. */
function headerOf(headers: IncidentNoticeHeaders, name: string): string {
  const value = typeof headers.get === 'function' ? headers.get(name) : (headers as Record<string, unknown>)[name]
  return typeof value === 'string' ? value : ''
}

function parseNotice(body: Uint8Array): z.output<typeof incidentNotice> {
  try {
    return incidentNotice.parse(JSON.parse(new TextDecoder().decode(body)))
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof z.ZodError)) throw cause
    throw refusal('It is signed, and is no notice of an incident.', { cause })
  }
}

function refusal(message: string, options?: ErrorOptions): QflareError {
  return new QflareError('notice_refused', message, options)
}
