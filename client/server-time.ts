import { z } from 'zod'
import { bucketAt, SKEW_MS } from '../protocol/exchange/bucket.ts'
import { exchangeAnswer, exchangeRequest } from '../protocol/exchange/messages.ts'
import { signatureAlgorithms, suites } from '../protocol/suites.ts'
import type { DeviceParts } from './device-parts.ts'
import { QflareError } from './errors.ts'

/**
 * The server's time, milliseconds: the hint of the refusal `error` where it carries one, otherwise of a message made to be
 * refused. A device with a wrong clock has no certificate that it may use, so that it has nothing true to send; and the time
 * stands in the refusal of a bucket only, because the certificates are cached (docs/protocol.md §2).
 *
 * A hint is not authenticated: one that would select a bucket below the floor is `clock_refused`.
 */
export async function askServerTime(
  parts: Pick<DeviceParts, 'http' | 'now'>,
  refusal: { error: unknown; deviceId: string; bucketFloor: number },
): Promise<number> {
  const { error, deviceId, bucketFloor } = refusal
  const hint = (error instanceof QflareError ? error.now : undefined) ?? (await probe(parts, deviceId, error))
  if (bucketAt(hint + SKEW_MS) < bucketFloor) {
    throw new QflareError(
      'clock_refused',
      `The server says that it is ${new Date(hint).toISOString()}, but bucket ${bucketFloor} was used: this is not the server, or its clock is wrong.`,
    )
  }
  return hint
}

/** All fields have the right length and none says anything: the window is checked before any of them is looked at. */
async function probe(parts: Pick<DeviceParts, 'http' | 'now'>, deviceId: string, cause: unknown): Promise<number> {
  const { encapsulationKeyBytes, ciphertextBytes } = suites['ML-KEM-1024']
  const message = z.encode(exchangeRequest, {
    deviceId,
    suite: 'ML-KEM-1024',
    bucket: bucketAt(parts.now()),
    nonce: new Uint8Array(32),
    clientKey: new Uint8Array(encapsulationKeyBytes),
    ciphertext: new Uint8Array(ciphertextBytes),
    signature: new Uint8Array(signatureAlgorithms['ML-DSA-44'].signatureBytes),
  })
  try {
    await parts.http.post('/v1/exchanges', message, exchangeAnswer)
  } catch (error) {
    if (error instanceof QflareError && error.code === 'bucket_out_of_window' && error.now !== undefined) {
      return error.now
    }
    if (error instanceof QflareError && error.code !== 'exchange_refused') throw error
  }
  throw new QflareError(
    'clock_refused',
    'The certificates of the server do not fit its own time: fetch them past caches, or ask its operator.',
    { cause },
  )
}
