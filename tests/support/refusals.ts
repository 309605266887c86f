import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished } from 'vitest'
import { type ErrorCode, errorTable } from '../../server/errors.ts'
import { type Answer, refusal } from './api.ts'
import type { TestService } from './service.ts'

/** A whole problem of RFC 9457 and nothing more; `field` must be there exactly when it is given. */
export function expectRefusal(answer: Answer, status: number, code: ErrorCode, field?: string): void {
  expect({ ...refusal(answer), field: answer.body.field }).toEqual({ status, code, field })
  expect(answer.body).toEqual({
    status,
    type: `docs/errors.md#${code}`,
    title: errorTable[code].title,
    detail: expect.stringMatching(/\S/),
    code,
    requestId: answer.headers.get('x-request-id'),
    ...(field === undefined ? {} : { field }),
  })
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('retry-after')).toEqual(
    [429, 503].includes(status) ? expect.stringMatching(/^[1-9]\d*$/) : null,
  )
}

/** Every table with the number of its rows and a digest of what they hold. */
export async function databaseContents({ database }: TestService): Promise<Record<string, string>> {
  const tables = await database.sql.query<{ statement: string }>(
    `select string_agg(format('select %L as name, count(*) || '' '' || md5(coalesce(string_agg(t::text, '','' order by t::text), ''''))
        as contents from %s t', relname, oid::regclass), ' union all ') as statement
      from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
  )
  const { rows } = await database.sql.query<{ name: string; contents: string }>(tables.rows[0]?.statement as string)
  expect(rows.length).toBeGreaterThan(10)
  return Object.fromEntries(rows.map(({ name, contents }) => [name, contents]))
}

/** Without what `fetch` adds or corrects. A body of several pieces goes out chunked, unless `content-length` is given. */
export async function sendRaw(
  { url }: Pick<TestService, 'url'>,
  method: string,
  path: string,
  options: { headers?: Record<string, string | string[]>; body?: readonly (string | Uint8Array)[] } = {},
): Promise<Answer> {
  const { hostname, port } = new URL(url)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sending = request({ hostname, port, method, path, headers: options.headers ?? {}, agent: false }, resolve)
    sending.on('error', reject)
    for (const piece of options.body ?? []) sending.write(piece)
    sending.end()
  })
  const headers = new Headers(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]))
  const body = await text(answer)
  return {
    status: answer.statusCode ?? 0,
    body: headers.get('content-type')?.includes('json') ? JSON.parse(body) : body,
    headers,
  }
}

/** Sends what is perhaps no request at all, and gives everything that comes until the service closes the connection. */
export async function sendText({ url }: Pick<TestService, 'url'>, sent: string | Uint8Array): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.write(sent)
  return text(socket)
}
