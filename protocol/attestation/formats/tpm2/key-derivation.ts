import { createHmac } from 'node:crypto'
import { digest, type HashName, hashLengths, uint32 } from './algorithms.ts'

/** KDFa (TPM 2.0 Part 1 §11.4.10.2): NIST SP 800-108 in counter mode with HMAC. `bits` is a multiple of 8. */
export function kdfA(
  hash: HashName,
  key: Uint8Array,
  given: { label: string; context?: Uint8Array; bits: number },
): Buffer {
  const { label, context = new Uint8Array(0), bits } = given
  const blocks = Array.from({ length: Math.ceil(bits / 8 / hashLengths[hash]) }, (_, index) =>
    createHmac(hash, key)
      .update(uint32(index + 1))
      .update(`${label}\0`)
      .update(context)
      .update(uint32(bits))
      .digest(),
  )
  return Buffer.concat(blocks).subarray(0, bits / 8)
}

/** KDFe (Part 1 §11.4.10.3), for one hash length: what the x coordinates of a shared secret and of both keys make. */
export function kdfE(
  hash: HashName,
  given: { shared: Uint8Array; label: string; ephemeral: Uint8Array; receiver: Uint8Array },
): Buffer {
  return digest(hash, uint32(1), given.shared, Buffer.from(`${given.label}\0`), given.ephemeral, given.receiver)
}
