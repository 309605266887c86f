import { isIP } from 'node:net'
import { z } from 'zod'

/** An address or a network; a name could be made to mean another machine. */
export const proxyAddress = z
  .string()
  .refine(isAddressOrNetwork, 'is not an IP address or a network such as 10.0.0.0/8')

/** Exactly as a browser writes it, without a slash at its end. `*` is none: whose pages may call is a decision. */
export const webOrigin = z
  .string()
  .refine(
    (text) => /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text,
    'is not an origin such as https://console.example',
  )

function isAddressOrNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  if (isIP(address) === 0 || rest.length > 0) return false
  return prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (isIP(address) === 4 ? 32 : 128))
}
