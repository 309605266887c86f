import { createCipheriv, createHmac } from 'node:crypto'
import { type HashName, hashLengths, sized } from './algorithms.ts'
import type { EndorsementKey } from './endorsement-key.ts'
import { kdfA } from './key-derivation.ts'
import { wrapSeed } from './wrap-seed.ts'

/** Both as `TPM2_ActivateCredential` takes them, with their sizes: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. */
export interface Credential {
  credentialBlob: Buffer
  encryptedSecret: Buffer
}

/** At most as long as the hash of any EK. */
export const ACTIVATED_SECRET_BYTES = 32

/**
 * What `TPM2_MakeCredential` does (TPM 2.0 Part 1 §24), in software: only a TPM that has both the EK and a key of the name `akName`
 * gives the secret out.
 */
export function makeCredential(
  ek: EndorsementKey,
  given: { akName: Uint8Array; secret: Uint8Array; random: (length: number) => Uint8Array },
): Credential {
  const { seed, encryptedSecret } = wrapSeed(ek, given.random)
  return { credentialBlob: sized(toIdObject(ek, seed, given)), encryptedSecret: sized(encryptedSecret) }
}

/** TPMS_ID_OBJECT: the HMAC with its size, then the encrypted TPM2B_DIGEST of the secret. */
export function toIdObject(
  { nameAlgorithm, keyBits }: Pick<EndorsementKey, 'nameAlgorithm' | 'keyBits'>,
  seed: Uint8Array,
  { akName, secret }: { akName: Uint8Array; secret: Uint8Array },
): Buffer {
  const key = kdfA(nameAlgorithm, seed, { label: 'STORAGE', context: akName, bits: keyBits })
  const cipher = createCipheriv(`aes-${keyBits}-cfb`, key, Buffer.alloc(16))
  const identity = Buffer.concat([cipher.update(sized(secret)), cipher.final()])
  const integrity = createHmac(nameAlgorithm, integrityKey(nameAlgorithm, seed))
    .update(identity)
    .update(akName)
    .digest()
  return Buffer.concat([sized(integrity), identity])
}

function integrityKey(hash: HashName, seed: Uint8Array): Buffer {
  return kdfA(hash, seed, { label: 'INTEGRITY', bits: hashLengths[hash] * 8 })
}
