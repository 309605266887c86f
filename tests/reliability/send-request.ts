import { type Agent, type IncomingMessage, request } from 'node:http'

const ANSWER_WITHIN_MS = 10_000

export interface Reply {
  /** 0: no answer came, or not the whole of it. */
  status: number
  body: Record<string, unknown>
}

/** One request, of which the answer is JSON, or empty, or a balancer's own. Never throws: a connection that breaks is what it is for. */
export function sendRequest(
  { url, agent }: { url: string; agent?: Agent },
  order: { method: string; path: string; body?: unknown; headers?: Record<string, string> },
): Promise<Reply> {
  const text = order.body === undefined ? '' : JSON.stringify(order.body)
  const type = text === '' ? {} : { 'content-type': 'application/json' }
  const headers = { ...type, ...order.headers, 'content-length': Buffer.byteLength(text) }
  return new Promise((resolve) => {
    const lost = () => resolve({ status: 0, body: {} })
    const options = { method: order.method, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }
    const sent = request(new URL(order.path, url), { ...options, ...(agent && { agent }) }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('error', lost)
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const said = Buffer.concat(chunks).toString()
        if (!answer.complete) lost()
        else resolve({ status: answer.statusCode ?? 0, body: isJson(answer) && said !== '' ? JSON.parse(said) : {} })
      })
    })
    sent.on('error', lost)
    sent.end(text)
  })
}

function isJson({ headers }: IncomingMessage): boolean {
  return /^application\/(problem\+)?json\b/.test(headers['content-type'] ?? '')
}
