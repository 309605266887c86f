import { Writable } from 'node:stream'
import { styleText } from 'node:util'
import { z } from 'zod'

const ERROR = 50
const WARNING = 40

/** What pino writes (logger.ts). */
const logLine = z.looseObject({
  level: z.number(),
  time: z.string(),
  msg: z.string(),
  error: z.looseObject({ message: z.string(), stack: z.string().optional() }).optional(),
})
const requestLine = z.object({
  method: z.string(),
  route: z.string(),
  status: z.string(),
  durationMs: z.number(),
  requestId: z.string(),
})
type LogLine = z.output<typeof logLine>

/** Of a list that is longer, a terminal shows how many there are. */
const SHOWN_NAMES = 6

/** In the place of a terminal: takes the lines of the log, and writes each as a person reads it. Files and pipes get them as they are. */
export function createReadableLog(terminal: NodeJS.WritableStream): Writable {
  // A terminal that is gone costs the log, not the service.
  if (terminal.listenerCount('error') === 0) terminal.on('error', () => {})
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      terminal.write(`${toReadable(line, terminal)}\n`)
      done()
    },
  })
}

function toReadable(line: string, terminal: NodeJS.WritableStream): string {
  const { data } = logLine.safeParse(parseJson(line))
  if (data === undefined) return toPrintable(line.trimEnd())
  const paint = (style: 'dim' | 'red' | 'yellow', text: string) => styleText(style, text, { stream: terminal })
  const request = data.msg === 'request' ? requestLine.safeParse(data).data : undefined
  const text = toPrintable(request === undefined ? messageText(data) : requestText(request))
  const color = data.level >= ERROR ? 'red' : data.level >= WARNING ? 'yellow' : undefined
  const lines = [`${paint('dim', timeOf(data))}  ${color === undefined ? text : paint(color, text)}`]
  const { message, stack } = data.error ?? {}
  // The stack begins with the message.
  for (const part of (stack ?? message ?? '').split('\n')) if (part !== '') lines.push(`          ${toPrintable(part)}`)
  return lines.join('\n')
}

/** Of this machine, as the clock on its wall. */
function timeOf({ time }: LogLine): string {
  return new Date(time).toTimeString().slice(0, 8)
}

/** Whose request it was stands in the log of a file or a pipe. */
function requestText({ method, route, status, durationMs, requestId }: z.output<typeof requestLine>): string {
  const told = `${method} ${route} ${status}, ${durationMs} ms`
  return Number(status) >= 500 ? `${told}, request ${requestId}` : told
}

function messageText({ level: _level, time: _time, error: _error, msg, ...fields }: LogLine): string {
  const told = Object.entries(fields)
    .filter(([, value]) => !msg.includes(String(value)))
    .map(([name, value]) => `${name} ${valueText(value)}`)
  return told.length === 0 ? msg : `${msg} (${told.join('; ')})`
}

function valueText(value: unknown): string {
  if (!Array.isArray(value)) return String(value)
  return value.length > SHOWN_NAMES ? `${value.length} of them` : value.join(', ')
}

/** Names of others are in it: nothing of them moves the terminal. */
function toPrintable(text: string): string {
  return text.replace(/\p{C}/gu, '?')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
