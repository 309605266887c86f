import { z } from 'zod'
import { suites } from '../suites.ts'
import { bytes, kid, signature, suite, timestamp, uuid } from '../wire.ts'

/** Wire messages of docs/protocol.md §2 and §4: base64url text outside, bytes inside. Unknown members are refused. */

const { encapsulationKeyBytes, ciphertextBytes } = suites['ML-KEM-1024']

export const bucketCertificate = z
  .strictObject({
    suite,
    bucket: z.int().min(0),
    notBefore: timestamp,
    notAfter: timestamp,
    publicKey: bytes(encapsulationKeyBytes),
    kid,
    signature,
  })
  .meta({ id: 'BucketCertificate' })
export type BucketCertificate = z.output<typeof bucketCertificate>

export const bucketsAnswer = z
  .strictObject({
    certificates: z.array(bucketCertificate).max(16),
    graceMs: z.int().min(0),
    skewMs: z.int().min(0),
  })
  .meta({ id: 'Buckets' })

export const exchangeRequest = z
  .strictObject({
    deviceId: uuid,
    suite,
    bucket: z.int().min(0),
    nonce: bytes(32),
    /** Ephemeral encapsulation key of the device. Not checked against the modulus yet. */
    clientKey: bytes(encapsulationKeyBytes),
    /** To the bucket key. */
    ciphertext: bytes(ciphertextBytes),
    /** By the identity key, over `th1`; its length still has to fit the algorithm of the device's record. */
    signature,
  })
  .meta({ id: 'ExchangeRequest' })
export type ExchangeRequest = z.output<typeof exchangeRequest>

export const exchangeAnswer = z
  .strictObject({
    sessionId: uuid,
    nonce: bytes(32),
    /** To the device's ephemeral key. */
    ciphertext: bytes(ciphertextBytes),
    expiresAt: timestamp,
    /** `tagS`. */
    confirmation: bytes(64),
  })
  .meta({ id: 'ExchangeAnswer' })
export type ExchangeAnswer = z.output<typeof exchangeAnswer>

export const confirmRequest = z
  .strictObject({
    deviceId: uuid,
    /** `tagD`. */
    confirmation: bytes(64),
  })
  .meta({ id: 'ConfirmRequest' })
export type ConfirmRequest = z.output<typeof confirmRequest>

export const confirmAnswer = z
  .strictObject({
    sessionId: uuid,
    status: z.literal('ACTIVE'),
    expiresAt: timestamp,
    accessToken: z.string().max(512),
    accessTokenExpiresAt: timestamp,
  })
  .meta({ id: 'ConfirmAnswer' })
export type ConfirmAnswer = z.output<typeof confirmAnswer>

export const tokenRequest = z
  .strictObject({
    deviceId: uuid,
    epoch: z.int().min(0),
    nonce: bytes(32),
    proof: bytes(64),
  })
  .meta({ id: 'TokenRequest' })
export type TokenRequest = z.output<typeof tokenRequest>

export const tokenAnswer = z
  .strictObject({ accessToken: z.string().max(512), accessTokenExpiresAt: timestamp })
  .meta({ id: 'TokenAnswer' })
export type TokenAnswer = z.output<typeof tokenAnswer>
