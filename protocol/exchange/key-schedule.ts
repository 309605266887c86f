import { concatenate, encode, lengthPrefixed, u64 } from '../encoding.ts'
import { expand, extract } from '../key-derivation.ts'
import type { Primitives } from '../primitives.ts'

export interface ExchangeKeys {
  /** `tagS`, 64 bytes: the server's confirmation. */
  serverConfirmation: Uint8Array
  /** `tagD`, 64 bytes: the device's confirmation. */
  deviceConfirmation: Uint8Array
  /** Chain key of the exchange's bucket, 64 bytes. The caller owns and wipes it. */
  chain: Uint8Array
}

/** The key schedule of docs/protocol.md §4. Wipes its own intermediate keys; the shared secrets stay the caller's to wipe. */
export function deriveExchangeKeys(
  crypto: Primitives,
  inputs: { th2: Uint8Array; bucket: number; sharedSecretS: Uint8Array; sharedSecretD: Uint8Array },
): ExchangeKeys {
  const { th2 } = inputs
  const secrets = [lengthPrefixed(inputs.sharedSecretS), lengthPrefixed(inputs.sharedSecretD)]
  const ikm = concatenate(secrets)
  const prk = extract(crypto, th2, ikm)
  const serverKey = expand(crypto, prk, encode('QFLARE-v1 server confirm', th2), 64)
  const deviceKey = expand(crypto, prk, encode('QFLARE-v1 device confirm', th2), 64)
  const chain = expand(crypto, prk, encode('QFLARE-v1 chain', th2, u64(inputs.bucket)), 64)
  const serverConfirmation = crypto.hmac512(serverKey, th2)
  const deviceConfirmation = crypto.hmac512(
    deviceKey,
    crypto.hash512(encode('QFLARE-v1 confirm', th2, serverConfirmation)),
  )
  for (const secret of [...secrets, ikm, prk, serverKey, deviceKey]) secret.fill(0)
  return { serverConfirmation, deviceConfirmation, chain }
}
