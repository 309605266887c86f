/**
 * Requests that two programs may read in two ways, after the public lists of request smuggling and desynchronisation: where a body ends
 * (RFC 9112 §6, §7), what a line is (§2.2, §5.2), who is asked for (§3). In each stands another request, for a reader who is wrong.
 */

export interface OddRequest {
  what: string
  /** One character for each byte. `to` is its method and path, where these are not what is odd. */
  text(to: Target): string
  /**
   * What a reader of RFC 9112 does: refuses it and closes the connection, answers it and closes the connection, or answers it and what
   * comes behind it.
   */
  reading: 'refused' | 'last' | 'read'
}

/** A body that is read; one where nothing takes it; one of a request that has none. */
export const targets = ['POST /v1/exchanges', 'POST /v1/devices', 'GET /v1/buckets'] as const
export type Target = (typeof targets)[number]

const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const LAST = '0\r\n\r\n'
const UPGRADE = 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'

/** `id` of the odd request itself; `smuggled` the one in it, or the beginning of one. */
export function listOddRequests({ id, smuggled }: { id: string; smuggled: string }): OddRequest[] {
  /** Header lines with their ends, and everything behind the empty line. */
  function odd(reading: OddRequest['reading'], what: string, lines: string, body: string): OddRequest {
    const usual = `Host: x\r\nContent-Type: application/json\r\nX-Request-Id: ${id}\r\n`
    return { what, reading, text: (to) => `${to} HTTP/1.1\r\n${usual}${lines}\r\n${body}` }
  }
  const length = (body: string) => `Content-Length: ${body.length}\r\n`
  const chunkOf = (data: string) => `${data.length.toString(16)}\r\n${data}\r\n${LAST}`
  /** By its length all of this is the body; in chunks the body is empty. */
  const endsInChunks = `${LAST}${smuggled}`
  /** In chunks all of this is the body; by its length the size of the first chunk is. */
  const endsByLength = chunkOf(smuggled)
  const ofTwo = (what: string, encoding: string) => [
    odd('refused', `CL.TE: ${what}`, `${length(endsInChunks)}${encoding}`, endsInChunks),
    odd('refused', `TE.CL: ${what}`, `${encoding}Content-Length: ${endsByLength.indexOf('\n') + 1}\r\n`, endsByLength),
  ]
  const inChunks = chunkFaults({ smuggled, endsInChunks })
  return [
    ...ofTwo('as it is', CHUNKED),
    ...ofTwo('a space behind the value', 'Transfer-Encoding: chunked \r\n'),
    ...encodings.flatMap(([what, lines]) => ofTwo(what, lines)),
    ...encodings.map(([what, lines]) => odd('refused', `an encoding alone: ${what}`, lines, endsInChunks)),
    ...lengths.map(([what, lines]) => odd('refused', `a length: ${what}`, lines, smuggled)),
    ...inChunks.map(([what, body]) => odd('refused', `a chunk: ${what}`, CHUNKED, body)),
    ...heads(id).map(
      ([what, text]): OddRequest => ({ what: `a head: ${what}`, reading: 'refused', text: () => `${text}${smuggled}` }),
    ),
    {
      what: 'a target that names the host',
      reading: 'read',
      text: () => `GET http://y/v1/buckets HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`,
    },
    odd('read', 'CL.0: a body that is a request', length(smuggled), smuggled),
    odd('read', '0.CL: a length with zeros before it', `Content-Length: 00${smuggled.length}\r\n`, smuggled),
    odd('read', 'another name', `${length(endsInChunks)}Transfer_Encoding: chunked\r\n`, endsInChunks),
    odd('read', 'a chunk that is a request', CHUNKED, endsByLength),
    odd('read', 'chunks in upper case', 'TRANSFER-ENCODING: CHUNKED\r\n', endsByLength),
    odd('read', 'a space behind the encoding', 'Transfer-Encoding: chunked \r\n', endsByLength),
    odd('read', 'a size in upper case with zeros before it', CHUNKED, `000A\r\n0123456789\r\n00\r\n\r\n`),
    odd('read', 'extensions of a chunk', CHUNKED, `2;a;b=c;d="e;f"\r\n{}\r\n0;x\r\n\r\n`),
    odd('read', 'trailers that are headers', CHUNKED, `0\r\nHost: y\r\nX-Request-Id: ${id}\r\n\r\n`),
    odd('read', '100-continue that sends on at once', `Expect: 100-continue\r\n${length(smuggled)}`, smuggled),
    odd('read', '100-continue twice', `Expect: 100-continue, 100-continue\r\n${length(smuggled)}`, smuggled),
    odd('read', 'an expectation that nobody knows', `Expect: 100-continue y\r\n${length(smuggled)}`, smuggled),
    odd('last', 'an upgrade to HTTP/2', `Connection: Upgrade, HTTP2-Settings\r\n${UPGRADE}`, smuggled),
    odd('last', 'an upgrade with a body', `Connection: Upgrade\r\n${UPGRADE}${length(smuggled)}`, smuggled),
    odd('last', 'an upgrade that the connection does not name', UPGRADE, smuggled),
  ]
}

type Fault = [what: string, text: string]

/** Header lines: each is refused beside a length, and alone too, for nobody knows where such a body ends. */
const encodings: Fault[] = [
  ['a space before the colon', 'Transfer-Encoding : chunked\r\n'],
  ['a tab before the colon', 'Transfer-Encoding\t: chunked\r\n'],
  ['a vertical tab before the value', 'Transfer-Encoding: \vchunked\r\n'],
  ['a form feed before the value', 'Transfer-Encoding: \fchunked\r\n'],
  ['a NUL behind the value', 'Transfer-Encoding: chunked\0\r\n'],
  ['a NUL in the name', 'Transfer\0-Encoding: chunked\r\n'],
  ['a no-break space before the value', 'Transfer-Encoding: \xa0chunked\r\n'],
  ['a byte of 0xff in the name', 'Transfer-Encoding\xff: chunked\r\n'],
  ['a value that is nearly it', 'Transfer-Encoding: xchunked\r\n'],
  ['a value in quotes', 'Transfer-Encoding: "chunked"\r\n'],
  ['a parameter', 'Transfer-Encoding: chunked;x=y\r\n'],
  ['a space in it', 'Transfer-Encoding: chun ked\r\n'],
  ['nothing', 'Transfer-Encoding:\r\n'],
  ['identity', 'Transfer-Encoding: identity\r\n'],
  ['identity behind it', 'Transfer-Encoding: chunked, identity\r\n'],
  ['another one behind it', 'Transfer-Encoding: chunked, gzip\r\n'],
  ['an unknown one in another line behind it', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n'],
  ['identity in another line behind it', 'Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n'],
  ['a line that ends in a line feed alone', 'Transfer-Encoding: chunked\n'],
  ['a line feed before it', 'X: y\nTransfer-Encoding: chunked\r\n'],
  ['a carriage return before it', 'X: y\rTransfer-Encoding: chunked\r\n'],
  ['a line feed in its value', 'Transfer-Encoding:\nchunked\r\n'],
  ['a carriage return in its value', 'Transfer-Encoding:\rchunked\r\n'],
  ['a folded value', 'Transfer-Encoding:\r\n chunked\r\n'],
  ['a folded value behind another', 'Transfer-Encoding: identity,\r\n\tchunked\r\n'],
  ['a folded line before it', 'X: y\r\n Transfer-Encoding: chunked\r\n'],
  ['a space before its name', ' Transfer-Encoding: chunked\r\n'],
]

const lengths: Fault[] = [
  ['two that differ', 'Content-Length: 0\r\nContent-Length: 70\r\n'],
  ['two that are the same', 'Content-Length: 0\r\nContent-Length: 0\r\n'],
  ['two in a list', 'Content-Length: 0, 0\r\n'],
  ['a list that differs', 'Content-Length: 0, 70\r\n'],
  ['a sign', 'Content-Length: +0\r\n'],
  ['a minus', 'Content-Length: -1\r\n'],
  ['hexadecimal', 'Content-Length: 0x0\r\n'],
  ['an exponent', 'Content-Length: 0e0\r\n'],
  ['a fraction', 'Content-Length: 0.0\r\n'],
  ['an underscore', 'Content-Length: 0_0\r\n'],
  ['a space in it', 'Content-Length: 0 0\r\n'],
  ['a letter behind it', 'Content-Length: 0b\r\n'],
  ['nothing', 'Content-Length:\r\n'],
  ['other digits', 'Content-Length: \xd9\xa0\r\n'],
  ['more than 64 bits', 'Content-Length: 18446744073709551616\r\n'],
  ['so many digits', `Content-Length: ${'9'.repeat(400)}\r\n`],
  ['a space before the colon', 'Content-Length : 0\r\n'],
  ['a tab before the colon', 'Content-Length\t: 0\r\n'],
  ['a vertical tab before it', 'Content-Length:\v0\r\n'],
  ['a NUL behind it', 'Content-Length: 0\0\r\n'],
  ['a folded value', 'Content-Length:\r\n 0\r\n'],
  ['a line feed alone', 'Content-Length: 0\n'],
]

/** Bodies in which somebody sees the end where there is none, or more where the end is. */
function chunkFaults({ smuggled, endsInChunks }: { smuggled: string; endsInChunks: string }): Fault[] {
  const chunk = `${endsInChunks.length.toString(16)}\r\n${endsInChunks}\r\n${LAST}`
  const size = smuggled.length.toString(16)
  return [
    ['a sign before its size', `+0\r\n\r\n${smuggled}`],
    ['a minus before its size', `-0\r\n\r\n${smuggled}`],
    ['0x before its size', `0x0\r\n\r\n${smuggled}`],
    ['an underscore in its size', `0_0\r\n\r\n${smuggled}`],
    ['a space before its size', ` 0\r\n\r\n${smuggled}`],
    ['a space behind its size', `0 \r\n\r\n${smuggled}`],
    ['a tab behind its size', `0\t\r\n\r\n${smuggled}`],
    ['a space in its size', `0 0\r\n\r\n${smuggled}`],
    ['no size', `\r\n\r\n${smuggled}`],
    ['no size but an extension', `;x\r\n\r\n${smuggled}`],
    ['a size of 64 bits and more', `10000000000000000\r\n\r\n${smuggled}`],
    ['a size of a NUL too', `0\0\r\n\r\n${smuggled}`],
    ['a size in other digits', `\xb2\r\n{}\r\n${LAST}${smuggled}`],
    ['a line feed for its end', `0\n\r\n${smuggled}`],
    ['a line feed for each end', `0\n\n${smuggled}`],
    ['a carriage return for its end', `0\r\r\n${smuggled}`],
    ['two carriage returns', `0\r\r\n\r\n${smuggled}`],
    ['a carriage return and something else', `0\rX\r\n\r\n${smuggled}`],
    ['TERM.EXT: a line feed in an extension', `2;\nxx\r\n${chunk}`],
    ['EXT.TERM: the same, the other way', `${size};\n${smuggled}\r\n${LAST}`],
    ['TERM.EXT with a carriage return', `2;\rxx\r\n${chunk}`],
    ['a line feed in a quoted extension', `2;x="\n"\r\n{}\r\n${LAST}${smuggled}`],
    ['a NUL in an extension', `2;\0x\r\n{}\r\n${LAST}${smuggled}`],
    ['TERM.SPILL: data that runs over its size', `2\r\n{}\r${chunk}`],
    ['SPILL.TERM: something else behind its data', `2\r\n{}XX${chunk}`],
    ['ONE.TWO: a line feed behind its data', `2\r\n{}\n${chunk}`],
    ['TWO.ONE: a line feed and something else behind its data', `2\r\n{}\nX\r\n${endsInChunks}\r\n${LAST}`],
    ['ZERO.TWO: nothing behind its data', `2\r\n{}${chunk}`],
    ['TWO.ZERO: an empty line behind its data', `2\r\n{}\r\n\r\n${LAST}${smuggled}`],
    ['extensions without end', `2;${'x'.repeat(20_000)}\r\n{}\r\n${LAST}${smuggled}`],
    ['a trailer without a colon', `0\r\n${smuggled}`],
    ['a trailer with a space before its colon', `0\r\nX : y\r\n\r\n${smuggled}`],
    ['a trailer that is folded', `0\r\nX: y\r\n z\r\n\r\n${smuggled}`],
    ['a trailer that ends in a line feed', `0\r\nX: y\n\r\n${smuggled}`],
    ['a trailer that says how it is encoded', `0\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled}`],
    ['a trailer that says its length', `0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
  ]
}

/** First lines and headers, all of a request that has no body. */
function heads(id: string): Fault[] {
  const get = (line: string, lines = '') => `${line}\r\nX-Request-Id: ${id}\r\n${lines}\r\n`
  return [
    ['HTTP/0.9', 'GET /v1/buckets\r\n'],
    ['HTTP/1.0 that is kept alive', get('GET /v1/buckets HTTP/1.0', 'Host: x\r\nConnection: keep-alive\r\n')],
    ['HTTP/1.0 in chunks', get('POST /v1/exchanges HTTP/1.0', `Host: x\r\n${CHUNKED}`) + LAST],
    ['HTTP/1.2', get('GET /v1/buckets HTTP/1.2', 'Host: x\r\n')],
    ['HTTP/01.1', get('GET /v1/buckets HTTP/01.1', 'Host: x\r\n')],
    ['http/1.1', get('GET /v1/buckets http/1.1', 'Host: x\r\n')],
    ['HTTP /1.1', get('GET /v1/buckets HTTP /1.1', 'Host: x\r\n')],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a method in lower case', get('get /v1/buckets HTTP/1.1', 'Host: x\r\n')],
    ['a method that nobody knows', get('GETS /v1/buckets HTTP/1.1', 'Host: x\r\n')],
    ['a tab behind the method', get('GET\t/v1/buckets HTTP/1.1', 'Host: x\r\n')],
    ['a space in the target', get('GET /v1/buckets /v1/trust HTTP/1.1', 'Host: x\r\n')],
    ['a tab in the target', get('GET /v1/buckets\t HTTP/1.1', 'Host: x\r\n')],
    ['a NUL in the target', get('GET /v1/buckets\0 HTTP/1.1', 'Host: x\r\n')],
    ['a space before the method', get(' GET /v1/buckets HTTP/1.1', 'Host: x\r\n')],
    ['a line feed behind the first line', `GET /v1/buckets HTTP/1.1\nHost: x\nX-Request-Id: ${id}\n\n`],
    ['a carriage return behind the first line', `GET /v1/buckets HTTP/1.1\rHost: x\r\n\r\n`],
    ['a space behind the version', get('GET /v1/buckets HTTP/1.1 ', 'Host: x\r\n')],
    ['a folded first header', get('GET /v1/buckets HTTP/1.1\r\n Host: y', 'Host: x\r\n')],
    ['an authority for a target', get('GET x:443 HTTP/1.1', 'Host: x:443\r\n')],
    ['CONNECT', get('CONNECT x:443 HTTP/1.1', 'Host: x:443\r\n')],
    ['no Host', get('GET /v1/buckets HTTP/1.1')],
    ['two Hosts', get('GET /v1/buckets HTTP/1.1', 'Host: x\r\nHost: y\r\n')],
    ['the same Host twice', get('GET /v1/buckets HTTP/1.1', 'Host: x\r\nhOST: x\r\n')],
    ['a Host with a user', get('GET /v1/buckets HTTP/1.1', 'Host: user@x\r\n')],
    ['a Host with a path', get('GET /v1/buckets HTTP/1.1', 'Host: x/y\r\n')],
    ['a Host in a list', get('GET /v1/buckets HTTP/1.1', 'Host: x, y\r\n')],
    ['a Host with a space before its colon', get('GET /v1/buckets HTTP/1.1', 'Host : x\r\n')],
    ['a Host that is folded', get('GET /v1/buckets HTTP/1.1', 'Host:\r\n x\r\n')],
    ['a header without a name', get('GET /v1/buckets HTTP/1.1', 'Host: x\r\n: y\r\n')],
    ['a header without a colon', get('GET /v1/buckets HTTP/1.1', 'Host: x\r\nX\r\n')],
  ]
}
