import { describe, expect, it } from 'vitest'
import {
  canonicalJson,
  concatenate,
  encode,
  fromBase64url,
  lengthPrefixed,
  toBase64url,
} from '../../protocol/encoding.ts'
import { attestationBinding, enrollmentBytes, evidenceDigest } from '../../protocol/enrollment.ts'
import { bucketCertificateBytes, verifyBucketCertificate } from '../../protocol/exchange/bucket.ts'
import { communicationKey, ratchet, roundContext, tokenProof } from '../../protocol/exchange/epochs.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { deriveExchangeKeys } from '../../protocol/exchange/key-schedule.ts'
import { bucketCertificate, exchangeAnswer, exchangeRequest } from '../../protocol/exchange/messages.ts'
import { initiateHash, respondHash, sessionIdOf } from '../../protocol/exchange/transcript.ts'
import { expand, extract } from '../../protocol/key-derivation.ts'
import { keyId } from '../../protocol/key-id.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { trustBundle, trustBundleBytes, trustDigest, verifyPinnedTrustBundle } from '../../protocol/trust.ts'
import { ownVectors as vectors } from '../support/protocol-own-vectors.ts'
import { providers, refusalOf } from '../support/protocol-providers.ts'

const bytes = (text: string) => fromBase64url(text)
const text = (value: Uint8Array) => toBase64url(value)

/** Every section and every field that a test of this file reads. */
const covered = {
  seeds: 'serverSigningKey deviceIdentityKey auditKey rootKey bucketKey ephemeralKey',
  keyIds: 'server device audit root',
  bucketCertificate: 'suite bucket notBefore notAfter kid publicKey bytes signature',
  enrolment:
    'enrollmentId challenge alg name kind evidence evidenceJcs evidenceDigest trustDigest attestBinding ' +
    'attestBindingOnSession bytes signature',
  exchange:
    'deviceId nonceD clientKey ciphertextS sharedSecretS th1 signature sessionId nonceS ciphertextD sharedSecretD ' +
    'expiresAt th2 prk serverConfirmKey deviceConfirmKey serverConfirmation deviceConfirmation',
  epochs:
    'epoch chain nextChain encryption signing nextEncryption federationId round roundContext roundKey tokenNonce ' +
    'tokenProof',
  trust: 'trustDomain sequence keys bytes signature',
}
/** Of `audit`, the leaves; log.test.ts reads the tree and its checkpoint. */
const others = ['about', 'audit', 'refusedBase64url']

describe('the vector file', () => {
  it('has no section and no field that these tests leave out', () => {
    expect(Object.keys(vectors).sort()).toEqual([...Object.keys(covered), ...others].sort())
    for (const [section, fields] of Object.entries(covered)) {
      expect(Object.keys(vectors[section as keyof typeof covered]).sort(), section).toEqual(fields.split(' ').sort())
    }
  })

  it('gives every leaf of the audit log as canonical JSON', () => {
    expect(vectors.audit.leavesJcs.length).toBeGreaterThan(0)
    expect(vectors.audit.events.map(canonicalJson)).toEqual(vectors.audit.leavesJcs)
  })

  it('names base64url that every decoder refuses, whatever length is asked', () => {
    expect(vectors.refusedBase64url.length).toBeGreaterThan(0)
    for (const refused of vectors.refusedBase64url) {
      for (const length of [undefined, 0, 1, 2]) {
        expect(refusalOf(() => fromBase64url(refused, length)).code, JSON.stringify(refused)).toBe('encoding_invalid')
      }
    }
  })
})

describe.each(providers)('$provider reproduces', (crypto) => {
  const { seeds, keyIds, enrolment, exchange, epochs, trust } = vectors
  const { bytes: certified, ...certificate } = vectors.bucketCertificate
  const signingKey = (seed: string) => crypto.importSigningKey('ML-DSA-44', bytes(seed))
  const server = signingKey(seeds.serverSigningKey)
  const device = signingKey(seeds.deviceIdentityKey)
  const root = signingKey(seeds.rootKey)
  const bucketKey = crypto.importDecapsulationKey('ML-KEM-1024', bytes(seeds.bucketKey))
  const ephemeralKey = crypto.importDecapsulationKey('ML-KEM-1024', bytes(seeds.ephemeralKey))
  const verifies = (key: { publicKey: Uint8Array }, message: Uint8Array, context: 'bucket' | 'enroll' | 'exchange') => {
    const { signature } = { bucket: certificate, enroll: enrolment, exchange }[context]
    return crypto
      .importVerificationKey('ML-DSA-44', key.publicKey)
      .verify(message, signatureContexts[context], bytes(signature))
  }
  const bundle = trustBundle.parse({
    trustDomain: trust.trustDomain,
    sequence: trust.sequence,
    keys: trust.keys,
    signatures: [{ kid: keyIds.root, signature: trust.signature }],
  })
  const request = exchangeRequest.parse({
    deviceId: exchange.deviceId,
    suite: certificate.suite,
    bucket: certificate.bucket,
    nonce: exchange.nonceD,
    clientKey: exchange.clientKey,
    ciphertext: exchange.ciphertextS,
    signature: exchange.signature,
  })
  const answer = exchangeAnswer.parse({
    sessionId: exchange.sessionId,
    nonce: exchange.nonceS,
    ciphertext: exchange.ciphertextD,
    expiresAt: exchange.expiresAt,
    confirmation: exchange.serverConfirmation,
  })

  it('the public keys and key ids of the seeds', () => {
    const audit = signingKey(seeds.auditKey)
    const [rootRecord, serverRecord, auditRecord] = trust.keys
    expect(text(root.publicKey)).toBe(rootRecord?.publicKey)
    expect(text(server.publicKey)).toBe(serverRecord?.publicKey)
    expect(text(audit.publicKey)).toBe(auditRecord?.publicKey)
    expect(text(bucketKey.encapsulationKey)).toBe(certificate.publicKey)
    expect(text(ephemeralKey.encapsulationKey)).toBe(exchange.clientKey)
    const named = Object.entries({ server, device, audit, root })
    const ids = named.map(([name, key]) => [name, keyId(crypto, 'ML-DSA-44', key.publicKey)])
    expect(Object.fromEntries(ids)).toEqual(keyIds)
  })

  it('the bucket certificate', () => {
    const parsed = bucketCertificate.parse(certificate)
    expect(text(bucketCertificateBytes(parsed))).toBe(certified)
    expect(verifies(server, bytes(certified), 'bucket')).toBe(true)
    expect(verifyBucketCertificate(crypto, parsed, bundle)).toBe(parsed)
  })

  it('the enrolment', () => {
    expect(canonicalJson(enrolment.evidence)).toBe(enrolment.evidenceJcs)
    const digest = evidenceDigest(crypto, enrolment.evidence)
    expect(text(digest)).toBe(enrolment.evidenceDigest)
    expect(text(trustDigest(crypto, bundle))).toBe(enrolment.trustDigest)
    const bound = { challenge: bytes(enrolment.challenge), alg: enrolment.alg, publicKey: device.publicKey }
    const binding = (sessionId: string | undefined) => text(attestationBinding(crypto, { ...bound, sessionId }))
    expect(binding(undefined)).toBe(enrolment.attestBinding)
    expect(binding(exchange.sessionId)).toBe(enrolment.attestBindingOnSession)
    const { enrollmentId, name, kind } = enrolment
    const digests = { evidenceDigest: digest, trustDigest: trustDigest(crypto, bundle) }
    const signed = enrollmentBytes({ ...bound, ...digests, enrollmentId, name, kind })
    expect(text(signed)).toBe(enrolment.bytes)
    expect(verifies(device, signed, 'enroll')).toBe(true)
  })

  it('the transcript of the exchange', () => {
    const th1 = initiateHash(crypto, request, bucketCertificate.parse(certificate))
    expect(text(th1)).toBe(exchange.th1)
    expect(verifies(device, th1, 'exchange')).toBe(true)
    expect(sessionIdOf(certificate.bucket, th1)).toBe(exchange.sessionId)
    expect(text(respondHash(crypto, th1, request.signature, answer))).toBe(exchange.th2)
  })

  it('the shared secrets of the exchange', () => {
    expect(text(bucketKey.decapsulate(request.ciphertext))).toBe(exchange.sharedSecretS)
    expect(text(ephemeralKey.decapsulate(answer.ciphertext))).toBe(exchange.sharedSecretD)
  })

  it('the key schedule of the exchange', () => {
    const th2 = bytes(exchange.th2)
    const [sharedSecretS, sharedSecretD] = [bytes(exchange.sharedSecretS), bytes(exchange.sharedSecretD)]
    const ikm = concatenate([lengthPrefixed(sharedSecretS), lengthPrefixed(sharedSecretD)])
    const prk = extract(crypto, th2, ikm)
    expect(text(prk)).toBe(exchange.prk)
    expect(text(expand(crypto, prk, encode('QFLARE-v1 server confirm', th2), 64))).toBe(exchange.serverConfirmKey)
    expect(text(expand(crypto, prk, encode('QFLARE-v1 device confirm', th2), 64))).toBe(exchange.deviceConfirmKey)
    const keys = deriveExchangeKeys(crypto, { th2, bucket: certificate.bucket, sharedSecretS, sharedSecretD })
    expect(text(keys.serverConfirmation)).toBe(exchange.serverConfirmation)
    expect(text(keys.deviceConfirmation)).toBe(exchange.deviceConfirmation)
    expect(text(keys.chain)).toBe(epochs.chain)
  })

  it('the end of the exchange at the device', () => {
    const initiated = { request, th1: bytes(exchange.th1), ephemeralKey, sharedSecretS: bytes(exchange.sharedSecretS) }
    const established = acceptAnswer(crypto, initiated, answer)
    const { sessionId, expiresAt } = exchange
    expect(established).toMatchObject({ sessionId, expiresAt, epoch: epochs.epoch })
    expect(text(established.chain)).toBe(epochs.chain)
    expect(text(established.deviceConfirmation)).toBe(exchange.deviceConfirmation)
  })

  it('the epochs and their keys', () => {
    const { epoch, federationId, round } = epochs
    const { sessionId } = exchange
    const [chain, nonce] = [bytes(epochs.chain), bytes(epochs.tokenNonce)]
    const key = (purpose: 'encryption' | 'signing') =>
      text(communicationKey(crypto, chain, { sessionId, epoch, purpose }))
    expect(key('encryption')).toBe(epochs.encryption)
    expect(key('signing')).toBe(epochs.signing)
    const next = ratchet(crypto, chain, epoch)
    expect(text(next)).toBe(epochs.nextChain)
    const nextKey = communicationKey(crypto, next, { sessionId, epoch: epoch + 1, purpose: 'encryption' })
    expect(text(nextKey)).toBe(epochs.nextEncryption)
    const context = roundContext(federationId, round)
    expect(text(context)).toBe(epochs.roundContext)
    expect(text(communicationKey(crypto, chain, { sessionId, epoch, purpose: 'round', context }))).toBe(epochs.roundKey)
    expect(text(tokenProof(crypto, chain, { sessionId, epoch, nonce }))).toBe(epochs.tokenProof)
  })

  it('the trust bundle', () => {
    expect(text(trustBundleBytes(bundle))).toBe(trust.bytes)
    const key = crypto.importVerificationKey('ML-DSA-44', root.publicKey)
    expect(key.verify(bytes(trust.bytes), signatureContexts.trust, bytes(trust.signature))).toBe(true)
    expect(verifyPinnedTrustBundle(crypto, bundle, keyIds.root)).toBe(bundle)
  })
})
