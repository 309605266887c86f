import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { addressKey } from './client-address.ts'

export interface ConnectionLimits {
  /** Of one address, or one /64 network of IPv6; 0 is no limit. */
  perAddress: number
  total: number
  /** Whose connections count in the total only: a proxy's are those of many. */
  isExempt(address: string): boolean
}

/** Connections that share a limit. */
interface Group {
  open: number
  /** Those that are between two requests; the one that has been so longest is the first. */
  idle: Set<Socket>
}

/**
 * Bounds the connections of a server. One too many takes the place of the one of its address, or of all, that has been idle
 * longest: that client loses nothing but the opening of another. Where none is idle, the new one is closed.
 */
export function limitConnections(server: Server, { perAddress, total, isExempt }: ConnectionLimits): void {
  const all: Group = { open: 0, idle: new Set() }
  const byAddress = new Map<string, Group>()

  /** Undefined where nothing but the total bounds the connections of this address. */
  function keyOf({ remoteAddress = '' }: Socket): string | undefined {
    return perAddress === 0 || isExempt(remoteAddress) ? undefined : addressKey(remoteAddress)
  }

  function count(socket: Socket, key: string | undefined, own: Group | undefined): void {
    const groups = own === undefined ? [all] : [all, own]
    for (const group of groups) group.open++
    if (key !== undefined && own !== undefined) byAddress.set(key, own)
    socket.once('close', () => {
      for (const group of groups) group.open--
      if (key !== undefined && own?.open === 0) byAddress.delete(key)
    })
  }

  // Of TLS this is the connection below it, so that a handshake counts from its beginning.
  server.prependListener('connection', (socket: Socket) => {
    const key = keyOf(socket)
    const own = key === undefined ? undefined : (byAddress.get(key) ?? { open: 0, idle: new Set() })
    const full = [own, all].find((group) => group !== undefined && group.open >= (group === all ? total : perAddress))
    if (full === undefined || closeLongestIdle(full)) count(socket, key, own)
    else socket.destroy()
  })
  followIdle(server, (socket) => [all, byAddress.get(keyOf(socket) ?? '') ?? all])
}

function closeLongestIdle({ idle }: Group): boolean {
  const [longest] = idle
  longest?.destroy()
  // It is counted until it is closed, and must not be found again until then.
  return longest !== undefined && idle.delete(longest)
}

/** Keeps the groups of a connection told whether it is idle. One that has not sent a request yet is not: headersTimeout ends it. */
function followIdle(server: Server, groupsOf: (socket: Socket) => readonly Group[]): void {
  const requests = new WeakMap<Socket, number>()

  function note({ socket }: IncomingMessage, res: ServerResponse): void {
    const groups = groupsOf(socket)
    const leave = (): void => groups.forEach(({ idle }) => void idle.delete(socket))
    if (!requests.has(socket)) socket.once('close', leave)
    requests.set(socket, (requests.get(socket) ?? 0) + 1)
    leave()
    res.once('close', () => {
      const left = (requests.get(socket) ?? 1) - 1
      requests.set(socket, left)
      if (left === 0 && !socket.destroyed) for (const { idle } of groups) idle.add(socket)
    })
  }
  server.prependListener('request', note)
  server.prependListener('checkExpectation', note)
}
