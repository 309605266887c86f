import type { NextFunction, Request, Response } from 'express'
import { ServiceError } from './errors.ts'

/** RFC 9110 §7.2, RFC 3986 §3.2.2: a name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$/

/**
 * Refuses what the parser lets through and two programs could read in two ways: other versions, and a Host that is missing (Node
 * leaves it to us, server/listener.ts), given twice or none (RFC 9112 §3.2). HTTP/1.0 is `malformed` and not 505, which is for
 * another major version. Then the connection ends; it ends too behind a request that would have another protocol (RFC 9110 §7.8),
 * for Node loses what came in one packet with it.
 */
export function requireStrictHttp() {
  /** Whose last request has come. Node would answer nothing of what is behind it, but do it (RFC 9112 §9.6). */
  const ending = new WeakSet<object>()

  return (req: Request, res: Response, next: NextFunction): void => {
    // What was too slow has had its answer (client-errors.ts), and may still come to its end.
    if (ending.has(req.socket) || req.socket.writableEnded) return
    const fault = findFault(req)
    if (fault !== undefined || req.headers.upgrade !== undefined) {
      ending.add(req.socket)
      res.set('connection', 'close')
    }
    if (fault !== undefined) throw new ServiceError('malformed', fault)
    next()
  }
}

function findFault({ httpVersion, headers, rawHeaders }: Request): string | undefined {
  if (httpVersion !== '1.1') return 'This is not HTTP/1.1.'
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host')
  if (hosts.length !== 1) return 'A request of HTTP/1.1 names one Host.'
  return HOST.test(headers.host ?? '') ? undefined : 'The Host is not a host.'
}
