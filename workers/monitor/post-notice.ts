import { signWebhook } from '../../protocol/monitor/webhook-signature.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { IncidentWebhook } from './open-incident-webhook.ts'

/** What became of a try. Of an answer its status is looked at, and nothing else. */
export type NoticeAnswer =
  | { result: 'delivered' }
  /** The receiver wants no such notices any more. */
  | { result: 'gone' }
  | { result: 'failed'; reason: string; retryAfterSeconds: number }

/** One try, as Standard Webhooks 1.0.0 has it. Redirects are not followed: where a notice goes is a setting. */
export async function postNotice(
  crypto: Primitives,
  webhook: IncidentWebhook,
  notice: { id: string; body: string },
  now: number,
): Promise<NoticeAnswer> {
  const message = {
    id: notice.id,
    timestampSeconds: Math.floor(now / 1000),
    body: new TextEncoder().encode(notice.body),
  }
  try {
    const response = await fetch(webhook.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'qflare',
        'webhook-id': message.id,
        'webhook-timestamp': String(message.timestampSeconds),
        'webhook-signature': signWebhook(crypto, webhook.keys, message),
      },
      body: message.body,
      redirect: 'manual',
      signal: AbortSignal.timeout(webhook.timeoutMs),
    })
    // However long it is, or takes.
    await response.body?.cancel()
    return toAnswer(response)
  } catch (error) {
    return { result: 'failed', reason: describe(error), retryAfterSeconds: 0 }
  }
}

function toAnswer({ ok, status, headers }: Response): NoticeAnswer {
  if (ok) return { result: 'delivered' }
  if (status === 410) return { result: 'gone' }
  const [seconds = '0'] = /^[0-9]{1,9}$/.exec(headers.get('retry-after') ?? '') ?? []
  return { result: 'failed', reason: `it answered ${status}`, retryAfterSeconds: Number(seconds) }
}

/** Without the URL: its path may be a secret. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return 'it did not answer in time'
  // Of a connection that failed, fetch says why in the cause.
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  return 'code' in cause ? String(cause.code) : cause.message
}
