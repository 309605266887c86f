import { QflareError } from './errors.ts'

export interface ServerEvent {
  name: string
  /** Undefined where the event has none. */
  id: string | undefined
  data: string
}

/** Of one event: that of 500 devices, several times over. */
const MAX_EVENT_LENGTH = 256 << 10

/** Events of `text/event-stream` (WHATWG HTML §9.2.6), attacker-controlled. Throws `bad_answer` for what is none, or too long. */
export async function* readServerEvents(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const piece of pieces) {
    rest += decode(utf8, piece)
    const blocks = rest.split(/\r?\n\r?\n/)
    rest = blocks.pop() ?? ''
    for (const block of [...blocks, rest]) requireShort(block)
    for (const block of blocks) {
      const event = parseEvent(block)
      if (event !== undefined) yield event
    }
  }
}

/** Undefined for what has no data: a comment keeps the connection. */
function parseEvent(block: string): ServerEvent | undefined {
  let name = 'message'
  let id: string | undefined
  const data: string[] = []
  for (const line of block.split(/\r?\n/)) {
    const [, field, value = ''] = /^([a-z]+): ?(.*)$/.exec(line) ?? []
    if (field === 'event') name = value
    else if (field === 'id') id = value
    else if (field === 'data') data.push(value)
  }
  return data.length === 0 ? undefined : { name, id, data: data.join('\n') }
}

function decode(utf8: TextDecoder, piece: Uint8Array): string {
  try {
    return utf8.decode(piece, { stream: true })
  } catch (cause) {
    throw new QflareError('bad_answer', 'An event of the server is not UTF-8.', { cause })
  }
}

function requireShort(block: string): void {
  if (block.length <= MAX_EVENT_LENGTH) return
  throw new QflareError('bad_answer', `An event of the server is longer than ${MAX_EVENT_LENGTH} characters.`)
}
