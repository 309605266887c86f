import { constants, createDecipheriv, createHmac, createPublicKey, diffieHellman, privateDecrypt } from 'node:crypto'
import type { SoftwareTpm } from './software-tpm.ts'
import { hashOf, type TpmHash, tpm2b, u32 } from './structures.ts'

/** What `TPM2_ActivateCredential` does: it gives the secret out, or throws as a TPM would. Both are given with their sizes. */
export function activateCredential(
  tpm: SoftwareTpm,
  { credentialBlob, encryptedSecret }: { credentialBlob: Uint8Array; encryptedSecret: Uint8Array },
  akName = tpm.akName,
): Buffer {
  const hash = tpm.ekHash
  const bits = tpm.options.ek === 'P-384' ? 256 : 128
  const seed = openSeed(tpm, unsized(encryptedSecret))
  const blob = unsized(credentialBlob)
  const hmac = unsized(blob.subarray(0, 2 + blob.readUInt16BE(0)))
  const identity = blob.subarray(2 + hmac.length)
  const hmacKey = kdfA(hash, seed, { label: 'INTEGRITY', context: Buffer.alloc(0), bits: hmac.length * 8 })
  if (!createHmac(hash, hmacKey).update(identity).update(akName).digest().equals(hmac))
    throw new Error('TPM_RC_INTEGRITY')
  const key = kdfA(hash, seed, { label: 'STORAGE', context: akName, bits })
  const cipher = createDecipheriv(`aes-${bits}-cfb`, key, Buffer.alloc(16))
  return unsized(Buffer.concat([cipher.update(identity), cipher.final()]))
}

function openSeed({ ekPrivate, ekHash, options }: SoftwareTpm, secret: Buffer): Buffer {
  if (options.ek === 'RSA-2048') {
    const oaepLabel = Buffer.from('IDENTITY\0')
    return privateDecrypt(
      { key: ekPrivate, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: ekHash, oaepLabel },
      secret,
    )
  }
  const x = unsized(secret.subarray(0, 2 + secret.readUInt16BE(0)))
  const y = unsized(secret.subarray(2 + x.length))
  const own = ekPrivate.export({ format: 'jwk' })
  const point = { kty: 'EC', crv: options.ek, x: x.toString('base64url'), y: y.toString('base64url') }
  const publicKey = createPublicKey({ key: point, format: 'jwk' })
  const shared = diffieHellman({ privateKey: ekPrivate, publicKey })
  return hashOf(ekHash, u32(1), shared, Buffer.from('IDENTITY\0'), x, Buffer.from(own.x ?? '', 'base64url'))
}

function kdfA(hash: TpmHash, key: Buffer, { label, context, bits }: { label: string; context: Buffer; bits: number }) {
  const parts = [u32(1), Buffer.from(`${label}\0`), context, u32(bits)]
  return createHmac(hash, key)
    .update(Buffer.concat(parts))
    .digest()
    .subarray(0, bits / 8)
}

/** The content of a TPM2B that is all there is. */
function unsized(bytes: Uint8Array): Buffer {
  const content = Buffer.from(bytes.subarray(2))
  if (!tpm2b(content).equals(bytes)) throw new Error('TPM_RC_SIZE')
  return content
}
