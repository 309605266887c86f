import { z } from 'zod'
import { trustBundle, verifyNextTrustBundle } from '../protocol/trust.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceState, getDeviceState, updateDeviceState } from './device-state.ts'

/** Hundreds of rotations; a bundle has some 20 KiB. */
export const MAX_TRUST_BYTES = 8 << 20

export const trustAnswer = z.strictObject({ items: z.array(trustBundle).max(1000), nextCursor: z.string().nullable() })

/**
 * Takes every later trust bundle, each verified by the root key of the one before, and stores the newest. Throws the
 * `ProtocolError` `trust_invalid` at the first that does not follow; nothing of that answer is stored then.
 */
export async function followTrust(
  parts: Pick<DeviceParts, 'http' | 'crypto' | 'store'>,
  options: { pastCaches?: boolean } = {},
): Promise<DeviceState> {
  let { trust } = await getDeviceState(parts.store)
  for (;;) {
    const path = `/v1/trust?after=${trust.sequence}`
    const { items, nextCursor } = await parts.http.get(path, trustAnswer, {
      ...options,
      maxAnswerBytes: MAX_TRUST_BYTES,
    })
    for (const next of items) trust = verifyNextTrustBundle(parts.crypto, trust, next)
    if (nextCursor === null || items.length === 0) break
  }
  return updateDeviceState(parts.store, (state) =>
    trust.sequence > state.trust.sequence ? { ...state, trust } : state,
  )
}
