import {
  concatenate,
  encode,
  fromBase64url,
  toBase64url,
  u64,
  uuidFromBytes,
  uuidToBytes,
} from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'

/** A device that was away for longer waits like one that nobody knows. */
export const PASS_MS = 30 * 86_400_000

/** Version, device, organization, expiry: 41 bytes, then the MAC. */
const BODY_BYTES = 41
const MAC_BYTES = 32
const VERSION = 1
const TEXT_LENGTH = Math.ceil(((BODY_BYTES + MAC_BYTES) * 4) / 3)

export interface PassHolder {
  id: string
  organizationId: string
}

/**
 * What a device has from its last proof that it is one (docs/protocol.md §4, decision 0039). A pass opens nothing: it says whom a
 * busy service serves first, for some microseconds and without a look at anything.
 */
export interface Passes {
  issue(holder: PassHolder): string
  /** Attacker-controlled text. Undefined for what is no pass, or none any more. */
  read(text: string): PassHolder | undefined
}

export function createPasses(parts: { keyring: Keyring; crypto: Primitives; clock: Pick<Clock, 'now'> }): Passes {
  const { keyring, crypto, clock } = parts
  const keys: { version: number; key: Uint8Array }[] = []

  /** That of the key-encryption key in use, and the one before where this process has seen it: newest first. */
  function currentKeys(): typeof keys {
    const version = keyring.activeVersion('identityMac')
    if (keys[0]?.version !== version) {
      keys.unshift({ version, key: keyring.mac('identityMac', encode('QFLARE-v1 pass key')).mac })
      keys.splice(2)
    }
    return keys
  }

  return {
    issue({ id, organizationId }) {
      const body = concatenate([
        Uint8Array.of(VERSION),
        uuidToBytes(id),
        uuidToBytes(organizationId),
        u64(clock.now() + PASS_MS),
      ])
      const [newest] = currentKeys() as [(typeof keys)[number]]
      return toBase64url(concatenate([body, crypto.hmac256(newest.key, body)]))
    },

    read(text) {
      const bytes = text.length === TEXT_LENGTH ? parsePass(text) : undefined
      if (bytes === undefined) return undefined
      const [body, mac] = [bytes.subarray(0, BODY_BYTES), bytes.subarray(BODY_BYTES)]
      const expiresAt = Number(new DataView(body.buffer, body.byteOffset).getBigUint64(BODY_BYTES - 8))
      if (expiresAt <= clock.now()) return undefined
      if (!currentKeys().some(({ key }) => crypto.equal(crypto.hmac256(key, body), mac))) return undefined
      return { id: uuidFromBytes(body.subarray(1, 17)), organizationId: uuidFromBytes(body.subarray(17, 33)) }
    },
  }
}

function parsePass(text: string): Uint8Array | undefined {
  try {
    const bytes = fromBase64url(text, BODY_BYTES + MAC_BYTES)
    return bytes[0] === VERSION ? bytes : undefined
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
