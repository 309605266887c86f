import { BlockList, isIP } from 'node:net'
import type { Request } from 'express'

/**
 * Whom a request counts for: the peer, or, behind a trusted proxy, the client that it names. A proxy that names something else
 * than an address counts itself.
 */
export function clientAddress(req: Request): string {
  return addressKey(req.ip ?? '') ?? addressKey(req.socket.remoteAddress ?? '') ?? 'unknown'
}

/** The network of the same; undefined where its address is not known. */
export function clientNetwork(req: Request): string | undefined {
  return networkKey(req.ip ?? '') ?? networkKey(req.socket.remoteAddress ?? '')
}

/**
 * The /24 of an IPv4 address, the /48 of an IPv6 address: the most that one site usually has, where a limit takes the least that one
 * subscriber has. So a new lease, or another address of the same provider's pool, is no other place. Undefined for other text.
 */
export function networkKey(address: string): string | undefined {
  const key = addressKey(address)
  if (key === undefined) return undefined
  if (isIP(key) === 4) return `${key.slice(0, key.lastIndexOf('.'))}.0/24`
  return `${key.split(':').slice(0, 3).join(':')}::/48`
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
