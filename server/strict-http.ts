import type { NextFunction, Request, Response } from 'express'
import { ServiceError } from './errors.ts'

/** RFC 9110 §7.2, RFC 3986 §3.2.2: a name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$/

/**
 * What the parser lets through and two programs could read in two ways: other versions, and a Host that is missing (Node leaves
 * it to us, server/listener.ts), given twice or none (RFC 9112 §3.2). HTTP/1.0 is `malformed` and not 505, which is for another
 * major version.
 */
export function requireStrictHttp(req: Request, res: Response, next: NextFunction): void {
  const fault = findFault(req)
  if (fault === undefined) return next()
  res.set('connection', 'close')
  throw new ServiceError('malformed', fault)
}

function findFault({ httpVersion, headers, rawHeaders }: Request): string | undefined {
  if (httpVersion !== '1.1') return 'This is not HTTP/1.1.'
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host')
  if (hosts.length !== 1) return 'A request of HTTP/1.1 names one Host.'
  return HOST.test(headers.host ?? '') ? undefined : 'The Host is not a host.'
}
