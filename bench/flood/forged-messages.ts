import { randomBytes } from 'node:crypto'
import { toBase64url } from '../../protocol/encoding.ts'
import type { BucketCertificate } from '../../protocol/exchange/messages.ts'
import { signatureAlgorithms, suites } from '../../protocol/suites.ts'

/** In whose names the messages are: devices that nobody knows, one that exists, or all that exist in turn. */
export interface ForgedNames {
  /** Of the devices that exist; empty for none. */
  deviceIds: readonly string[]
  /** What `X-Forwarded-For` says: so many addresses in turn; 0 for none. */
  addresses: number
}

const { encapsulationKeyBytes, ciphertextBytes } = suites['ML-KEM-1024']
const { signatureBytes } = signatureAlgorithms['ML-DSA-44']
/** Digits of base64url that count up where a message has its nonce and its signature. */
const COUNTED = 10
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Requests that are right in everything that can be seen without a key, and no two alike. Made by writing over one of them, so that
 * they cost next to nothing: who floods does not sign, encapsulate or encode anything either.
 */
export function createForgedMessages(
  host: string,
  certificate: BucketCertificate,
  { deviceIds, addresses }: ForgedNames,
): () => Buffer {
  const body = JSON.stringify({
    deviceId: NOBODY,
    suite: certificate.suite,
    bucket: certificate.bucket,
    nonce: randomText(32),
    // Below the modulus in every coefficient, as a right one is: all zero passes the check.
    clientKey: toBase64url(new Uint8Array(encapsulationKeyBytes)),
    ciphertext: randomText(ciphertextBytes),
    signature: randomText(signatureBytes),
  })
  const head = [
    'POST /v1/exchanges HTTP/1.1',
    `Host: ${host}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...(addresses === 0 ? [] : [FORWARDED_FOR]),
    '',
    '',
  ].join('\r\n')
  const message = Buffer.from(head + body, 'latin1')
  const at = (text: string) => message.indexOf(text) + text.length
  const [deviceAt, nonceAt, signatureAt] = [at('"deviceId":"'), at('"nonce":"'), at('"signature":"')]
  const addressAt = message.indexOf('198.018.')
  let count = 0

  return () => {
    const forged = Buffer.from(message)
    const counted = countText(++count)
    forged.write(counted, nonceAt, 'latin1')
    forged.write(counted, signatureAt, 'latin1')
    const deviceId = deviceIds[count % Math.max(1, deviceIds.length)]
    forged.write(deviceId ?? unknownId(count), deviceAt, 'latin1')
    if (addresses > 0) forged.write(addressText(count % addresses), addressAt, 'latin1')
    return forged
  }
}

/** Of the length of every `addressText`. */
export const FORWARDED_FOR = 'X-Forwarded-For: 198.018.000.000'
export const NOBODY = '00000000-0000-4000-8000-000000000000'

export function unknownId(count: number): string {
  return NOBODY.slice(0, -12) + count.toString(16).padStart(12, '0')
}

/** Of 198.18.0.0/15, which RFC 2544 keeps for this; of one length. */
export function addressText(index: number): string {
  const [high, middle, low] = [18 + ((index >> 16) & 1), (index >> 8) & 0xff, index & 0xff]
  return `198.${[high, middle, low].map((part) => String(part)).join('.')}`.padEnd(15)
}

function countText(count: number): string {
  let text = ''
  for (let digits = 0, rest = count; digits < COUNTED; digits++, rest = Math.floor(rest / 64)) text += DIGITS[rest % 64]
  return text
}

function randomText(bytes: number): string {
  return toBase64url(randomBytes(bytes))
}
