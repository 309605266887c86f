import { expect, vi } from 'vitest'

export interface HeardEvent {
  name: string
  id: string | undefined
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into events of every shape
  data: any
}

/** Somebody who listens over HTTP, as a program that knows nothing of ours would. */
export async function listen(
  service: { url: string },
  token: string,
  options: { query?: string; headers?: Record<string, string> } = {},
) {
  const abort = new AbortController()
  const response = await fetch(`${service.url}/v1/revocations${options.query ?? ''}`, {
    headers: { authorization: `Bearer ${token}`, ...options.headers },
    signal: abort.signal,
  })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  const heard: HeardEvent[] = []
  const ended = readInto(heard, response)
  return {
    heard,
    /** Resolves when the server has ended the stream, or it broke. */
    ended,
    /** Of the changes: device and status. */
    changes: () => heard.filter(({ name }) => name === 'change').map(({ data }) => [data.deviceId, data.status]),
    /** Until as many events of a kind were heard. */
    async until(name: string, count = 1) {
      const all = () => heard.filter((event) => event.name === name)
      await vi.waitFor(() => expect(all().length).toBeGreaterThanOrEqual(count), { timeout: 15_000, interval: 20 })
      return all()
    },
    async close() {
      abort.abort()
      await ended
    },
  }
}

async function readInto(heard: HeardEvent[], response: Response): Promise<'ended' | 'broken'> {
  let text = ''
  try {
    for await (const piece of response.body ?? []) {
      text += new TextDecoder().decode(piece)
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) if (!block.startsWith(':')) heard.push(parse(block))
    }
    return 'ended'
  } catch {
    return 'broken'
  }
}

function parse(block: string): HeardEvent {
  const fields = Object.fromEntries(
    block.split('\n').map((line) => [line.split(': ', 1)[0], line.slice(line.indexOf(': ') + 2)]),
  )
  return { name: String(fields['event']), id: fields['id'], data: JSON.parse(String(fields['data'])) }
}
