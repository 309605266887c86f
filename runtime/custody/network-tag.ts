import { encode, toBase64url, uuidToBytes } from '../../protocol/encoding.ts'
import type { Keyring } from './keyring.ts'

/** Enough to tell the networks of one device apart, and too little to be evidence of one. */
const TAG_BYTES = 8

/**
 * What the log has in the place of a network: the same for the same device and network until the key is rotated, another one for each
 * other device. Who reads the log learns whether a device moved, not where it is, nor who is where others are; there are so few
 * networks that without a key anybody could try them all. 11 characters of base64url.
 */
export function tagNetwork(
  keyring: Pick<Keyring, 'mac'>,
  { organizationId, principalId }: { organizationId: string; principalId: string },
  network: string,
): string {
  const message = encode('QFLARE-v1 network', uuidToBytes(organizationId), uuidToBytes(principalId), network)
  return toBase64url(keyring.mac('identityMac', message).mac.subarray(0, TAG_BYTES))
}
