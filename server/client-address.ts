import { BlockList, isIP } from 'node:net'
import type { Request } from 'express'

/**
 * Whom a request counts for: the peer, or, behind a trusted proxy, the client that it names. A proxy that names something else
 * than an address counts itself.
 */
export function clientAddress(req: Request): string {
  return addressKey(req.ip ?? '') ?? addressKey(req.socket.remoteAddress ?? '') ?? 'unknown'
}

/** An IPv4 address as it is; of an IPv6 address its /64 network, since one subscriber has all of it. Undefined for other text. */
export function addressKey(address: string): string | undefined {
  const family = isIP(address)
  if (family === 0) return undefined
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (family === 4 || mapped !== undefined) return mapped ?? address
  return `${firstGroups(address).join(':')}::/64`
}

/** Whether an address is one of these or in one of these networks; an IPv4 address also in the notation of IPv6. */
export function createAddressMatch(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** The first four of the eight groups, without leading zeros. */
function firstGroups(address: string): string[] {
  const [before = '', after = ''] = address.split('%')[0]?.split('::') ?? []
  const toGroups = (text: string) => (text === '' ? [] : text.split(':'))
  const [left, right] = [toGroups(before), toGroups(after)]
  // An IPv4 address at the end stands for two groups.
  const given = left.length + right.length + (address.includes('.') ? 1 : 0)
  const groups = [...left, ...Array.from({ length: 8 - given }, () => '0'), ...right]
  return groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
}
