import { constants, createECDH, type KeyObject, publicEncrypt } from 'node:crypto'
import { refusedEvidence } from '../../evidence-format.ts'
import { type CurveName, curves, digest, type HashName, hashLengths, sized, uint32 } from './algorithms.ts'
import type { EndorsementKey } from './endorsement-key.ts'
import { kdfE } from './key-derivation.ts'

const LABEL = 'IDENTITY'

/** A seed that the EK opens: TPM 2.0 Part 1, B.10.3 and C.6.3. `encryptedSecret` is without its size. */
export function wrapSeed(
  ek: EndorsementKey,
  random: (length: number) => Uint8Array,
): { seed: Uint8Array; encryptedSecret: Buffer } {
  return ek.kind === 'RSA-2048' ? wrapByRsa(ek, random) : agreeOnSeed(ek, ek.kind, random)
}

/** RSAES-OAEP (RFC 8017 §7.1.1) with randomness that is given; Node takes its own. */
function wrapByRsa({ publicKey, nameAlgorithm }: EndorsementKey, random: (length: number) => Uint8Array) {
  const length = hashLengths[nameAlgorithm]
  const seed = random(length)
  const mask = random(length)
  const block = Buffer.alloc(256 - length - 1)
  digest(nameAlgorithm, Buffer.from(`${LABEL}\0`)).copy(block)
  block[block.length - length - 1] = 1
  block.set(seed, block.length - length)
  const maskedBlock = xor(block, mgf1(nameAlgorithm, mask, block.length))
  const maskedMask = xor(mask, mgf1(nameAlgorithm, maskedBlock, length))
  const encoded = Buffer.concat([Buffer.of(0), maskedMask, maskedBlock])
  return { seed, encryptedSecret: encryptRaw(publicKey, encoded) }
}

/** A manufacturer may have certified a number that is no modulus. */
function encryptRaw(key: KeyObject, encoded: Buffer): Buffer {
  try {
    return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded)
  } catch (cause) {
    throw refusedEvidence('tpm2.ek_key', 'Nothing can be encrypted to the EK.', { cause })
  }
}

/** RFC 8017 B.2.1. */
function mgf1(hash: HashName, seed: Uint8Array, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / hashLengths[hash]) }, (_, counter) =>
    digest(hash, seed, uint32(counter)),
  )
  return Buffer.concat(blocks).subarray(0, length)
}

function xor(one: Uint8Array, other: Uint8Array): Buffer {
  return Buffer.from(one.map((byte, index) => byte ^ (other[index] as number)))
}

/** The orders of the curves (SP 800-186 §3.2.1), and their names in OpenSSL. */
const groups: Readonly<Record<CurveName, { name: string; order: bigint }>> = {
  'P-256': { name: 'prime256v1', order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n },
  'P-384': {
    name: 'secp384r1',
    order: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
}

function agreeOnSeed(
  { publicKey, nameAlgorithm }: EndorsementKey,
  curve: CurveName,
  random: (length: number) => Uint8Array,
) {
  const { length } = curves[curve]
  const jwk = publicKey.export({ format: 'jwk' })
  const [x, y] = [jwk.x, jwk.y].map((text) => Buffer.from(text ?? '', 'base64url')) as [Buffer, Buffer]
  const ephemeral = createECDH(groups[curve].name)
  ephemeral.setPrivateKey(randomScalar(groups[curve].order, length, random))
  const point = ephemeral.getPublicKey()
  const [ephemeralX, ephemeralY] = [point.subarray(1, 1 + length), point.subarray(1 + length)]
  const shared = ephemeral.computeSecret(Buffer.concat([Buffer.of(4), x, y]))
  const seed = kdfE(nameAlgorithm, { shared, label: LABEL, ephemeral: ephemeralX, receiver: x })
  return { seed, encryptedSecret: Buffer.concat([sized(ephemeralX), sized(ephemeralY)]) }
}

/** From 1 to the order without it, by 64 bits more than it has (FIPS 186-5 A.2.1). */
function randomScalar(order: bigint, length: number, random: (length: number) => Uint8Array): Buffer {
  const wide = BigInt(`0x${Buffer.from(random(length + 8)).toString('hex')}`)
  const scalar = (wide % (order - 1n)) + 1n
  return Buffer.from(scalar.toString(16).padStart(length * 2, '0'), 'hex')
}
