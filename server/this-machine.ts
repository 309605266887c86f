import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../runtime/address-problems.ts'

/** What a proxy adds, by the standard (RFC 7239, RFC 9110 §7.6.3) or by habit. */
const PROXY_HEADER = /^(via|forwarded|x-forwarded-.*|x-real-ip)$/

/**
 * Whether a program of this machine asks for itself. Who comes through a proxy on this machine is not the machine; nor is a page
 * in a browser on it, whose own host name was made to mean 127.0.0.1 (DNS rebinding). A proxy that adds nothing and changes the
 * Host cannot be told apart: that is what the operator port is for.
 */
export function isFromThisMachine({ socket, url = '', headers }: IncomingMessage): boolean {
  if (!isLoopback(socket.remoteAddress ?? '')) return false
  if (Object.keys(headers).some((name) => PROXY_HEADER.test(name))) return false
  // The whole URL as target is how a proxy is asked (RFC 9112 §3.2.2), and says another host than the header may.
  return url.startsWith('/') && isLoopback(hostName(headers.host ?? ''))
}

/** Without port and brackets, in lower case. */
function hostName(host: string): string {
  return host
    .toLowerCase()
    .replace(/:[0-9]*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
}
