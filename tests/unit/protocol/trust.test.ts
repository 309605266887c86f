import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../protocol/encoding.ts'
import { keyId } from '../../../protocol/key-id.ts'
import type { SigningKey } from '../../../protocol/primitives.ts'
import { signatureAlgorithmNames } from '../../../protocol/suites.ts'
import {
  type TrustBundle,
  type TrustKey,
  trustBundle,
  trustDigest,
  verifyNextTrustBundle,
  verifyPinnedTrustBundle,
} from '../../../protocol/trust.ts'
import { makeBundle, makeTrustKey, seedOf } from '../../support/protocol-exchange.ts'
import { native as crypto, flipBit, refusalOf, toHex } from '../../support/protocol-providers.ts'

const makeKey = (label: string) => crypto.importSigningKey('ML-DSA-44', seedOf(crypto, label, 32))
const [root1, root2, root3, bucket, audit] = ['root 1', 'root 2', 'root 3', 'bucket', 'audit'].map(makeKey) as [
  ...[SigningKey, SigningKey, SigningKey],
  ...[SigningKey, SigningKey],
]
const record = (key: SigningKey, use: TrustKey['use']) => makeTrustKey(crypto, key, use)
const serviceKeys = [record(bucket, 'bucket'), record(audit, 'audit')]
const pin = keyId(crypto, root1.alg, root1.publicKey)

const first = makeBundle(crypto, { sequence: 1, keys: [record(root1, 'root'), ...serviceKeys], signers: [root1] })
const second = makeBundle(crypto, {
  sequence: 2,
  keys: [record(root2, 'root'), ...serviceKeys],
  signers: [root1, root2],
})
const third = makeBundle(crypto, { sequence: 3, keys: [record(root3, 'root'), ...serviceKeys], signers: [root2] })

const unsigned = 'The trust bundle has no valid signature of a pinned root key.'
const refusedPinned = (bundle: TrustBundle, by = pin) => refusalOf(() => verifyPinnedTrustBundle(crypto, bundle, by))
const refusedNext = (held: TrustBundle, next: TrustBundle) => refusalOf(() => verifyNextTrustBundle(crypto, held, next))

describe('the first bundle', () => {
  it('is accepted under the pin of the root key that signed it', () => {
    expect(verifyPinnedTrustBundle(crypto, first, pin)).toBe(first)
  })

  it('is refused under the pin of any key but its root', () => {
    for (const key of [root2, bucket, audit]) {
      const other = keyId(crypto, key.alg, key.publicKey)
      expect(refusedPinned(first, other)).toEqual({
        code: 'trust_invalid',
        message: `The trust bundle has no root key ${other}: this is not the pinned server.`,
      })
    }
    expect(refusedPinned(first, '').code).toBe('trust_invalid')
  })

  it('is refused when another key of it signed, even one that it calls root too', () => {
    for (const signers of [[bucket], [root2], [bucket, root2, audit]]) {
      const keys = [record(root1, 'root'), record(root2, 'root'), ...serviceKeys]
      const bundle = makeBundle(crypto, { sequence: 1, keys, signers })
      expect(refusedPinned(bundle)).toEqual({ code: 'trust_invalid', message: unsigned })
    }
  })

  it('is refused when the signature under the pinned kid is by another key', () => {
    const forged = makeBundle(crypto, { sequence: 1, keys: first.keys, signers: [root2] })
    const signatures = forged.signatures.map(({ signature }) => ({ kid: pin, signature }))
    expect(refusedPinned({ ...forged, signatures })).toEqual({ code: 'trust_invalid', message: unsigned })
  })

  it('is refused when the key under the pinned kid is another, which signed', () => {
    const keys = [{ ...record(root2, 'root'), kid: pin }, ...serviceKeys]
    const bundle = makeBundle(crypto, { sequence: 1, keys, signers: [root2] })
    const signatures = bundle.signatures.map(({ signature }) => ({ kid: pin, signature }))
    expect(refusedPinned({ ...bundle, signatures })).toEqual({
      code: 'trust_invalid',
      message: `The key under ${pin} has another kid.`,
    })
  })

  it('is refused when any of its keys is not what its kid says, though the root signed it', () => {
    for (const changed of [
      { ...record(audit, 'audit'), publicKey: toBase64url(bucket.publicKey) },
      { ...record(audit, 'audit'), alg: 'ML-DSA-65' as const },
      { ...record(audit, 'audit'), kid: pin },
    ]) {
      const bundle = makeBundle(crypto, { sequence: 1, keys: [record(root1, 'root'), changed], signers: [root1] })
      expect(refusedPinned(bundle).code).toBe('trust_invalid')
    }
  })

  it('with a key that cannot be imported is refused as a bundle that is not valid, though the root signed it', () => {
    const forgeable = new Uint8Array(1312).fill(1, 0, 32)
    const short = new Uint8Array(1311).fill(1)
    for (const bytes of [forgeable, short]) {
      const key = { ...record(audit, 'audit'), kid: keyId(crypto, 'ML-DSA-44', bytes), publicKey: toBase64url(bytes) }
      const bundle = makeBundle(crypto, { sequence: 1, keys: [record(root1, 'root'), key], signers: [root1] })
      expect(refusedPinned(bundle).code).toBe('trust_invalid')
    }
    const padded = { ...record(audit, 'audit'), publicKey: `${toBase64url(audit.publicKey)}==` }
    const bundle = makeBundle(crypto, { sequence: 1, keys: [record(root1, 'root'), padded], signers: [root1] })
    expect(refusedPinned(bundle).code).toBe('trust_invalid')
  })

  const [key] = first.keys as [TrustKey]
  it.each<[string, Partial<TrustBundle>]>([
    ['trust domain', { trustDomain: 'fleet.exampla' }],
    ['sequence', { sequence: 2 }],
    ['use of a key', { keys: first.keys.map((one) => (one.use === 'audit' ? { ...one, use: 'bucket' } : one)) }],
    ['validity of a key', { keys: [{ ...key, notAfter: key.notAfter + 1 }, ...first.keys.slice(1)] }],
    ['order of the keys', { keys: first.keys.toReversed() }],
    ['number of keys', { keys: first.keys.slice(0, 2) }],
    ['added key', { keys: [...first.keys, record(root2, 'root')] }],
    ['byte of a key', { keys: [...first.keys.slice(0, 2), withFlippedKey(first.keys[2] as TrustKey)] }],
  ])('with another %s after it was signed is refused', (_, changed) => {
    expect(refusedPinned({ ...first, ...changed })).toEqual({ code: 'trust_invalid', message: unsigned })
    expect(toHex(trustDigest(crypto, { ...first, ...changed }))).not.toBe(toHex(trustDigest(crypto, first)))
  })

  it('whose signature lost a byte or has another bit is refused', () => {
    const [{ kid, signature }] = first.signatures as [TrustBundle['signatures'][number]]
    for (const wrong of [signature.subarray(1), flipBit(signature, 100)]) {
      expect(refusedPinned({ ...first, signatures: [{ kid, signature: wrong }] }).message).toBe(unsigned)
    }
    expect(refusedPinned({ ...first, signatures: [] }).message).toBe(unsigned)
  })

  it('needs one good signature, whatever stands beside it', () => {
    const stranger = makeBundle(crypto, { sequence: 1, keys: first.keys, signers: [root2] }).signatures
    const bundle = { ...first, signatures: [...stranger, ...first.signatures] }
    expect(verifyPinnedTrustBundle(crypto, bundle, pin)).toBe(bundle)
  })

  it.each(signatureAlgorithmNames)('may be signed by a root key of %s', (alg) => {
    const root = crypto.importSigningKey(alg, seedOf(crypto, alg, 32))
    const bundle = makeBundle(crypto, { sequence: 1, keys: [record(root, 'root')], signers: [root] })
    expect(verifyPinnedTrustBundle(crypto, bundle, keyId(crypto, alg, root.publicKey))).toBe(bundle)
  })
})

describe('a later bundle', () => {
  it('is accepted one after the other through two rotations of the root', () => {
    const held = verifyNextTrustBundle(crypto, verifyPinnedTrustBundle(crypto, first, pin), second)
    expect(verifyNextTrustBundle(crypto, held, third)).toBe(third)
  })

  it('that old and new root both signed is also a first bundle for who pins the new one', () => {
    expect(verifyPinnedTrustBundle(crypto, second, keyId(crypto, root2.alg, root2.publicKey))).toBe(second)
  })

  it.each([
    ['skips one', first, third],
    ['is the one that is held', first, first],
    ['is older', second, first],
  ])('that %s is refused', (_, held, next) => {
    expect(refusedNext(held, next)).toEqual({
      code: 'trust_invalid',
      message: `Bundle ${next.sequence} does not follow bundle ${held.sequence}.`,
    })
  })

  it('that skips one is refused even when a root of the held bundle signed it', () => {
    const skipping = makeBundle(crypto, { sequence: 3, keys: first.keys, signers: [root1] })
    expect(refusedNext(first, skipping).message).toBe('Bundle 3 does not follow bundle 1.')
  })

  it('of another trust domain is refused, though the root signed it', () => {
    const keys = first.keys
    const other = makeBundle(crypto, { sequence: 2, keys, signers: [root1], trustDomain: 'other.example' })
    expect(refusedNext(first, other).code).toBe('trust_invalid')
  })

  it('signed by a root key of its own only is refused', () => {
    const own = makeBundle(crypto, { sequence: 2, keys: second.keys, signers: [root2] })
    expect(refusedNext(first, own)).toEqual({ code: 'trust_invalid', message: unsigned })
  })

  it('signed by a key of the held bundle that is no root is refused', () => {
    for (const signer of [bucket, audit]) {
      const bundle = makeBundle(crypto, { sequence: 2, keys: second.keys, signers: [signer] })
      expect(refusedNext(first, bundle)).toEqual({ code: 'trust_invalid', message: unsigned })
    }
  })

  it('signed by the root before last is refused', () => {
    const late = makeBundle(crypto, { sequence: 3, keys: third.keys, signers: [root1] })
    expect(refusedNext(second, late)).toEqual({ code: 'trust_invalid', message: unsigned })
  })

  it('may be signed by any of several roots of the held bundle', () => {
    const roots = [record(root1, 'root'), record(root2, 'root')]
    const held = makeBundle(crypto, { sequence: 1, keys: roots, signers: [root1] })
    for (const signer of [root1, root2]) {
      const next = makeBundle(crypto, { sequence: 2, keys: roots, signers: [signer] })
      expect(verifyNextTrustBundle(crypto, held, next)).toBe(next)
    }
  })
})

describe('a bundle on the wire', () => {
  const wire = {
    ...first,
    signatures: first.signatures.map((one) => ({ ...one, signature: toBase64url(one.signature) })),
  }

  it('is read as it was written', () => {
    expect(verifyPinnedTrustBundle(crypto, trustBundle.parse(JSON.parse(JSON.stringify(wire))), pin).sequence).toBe(1)
  })

  it.each([
    ['an unknown member', { ...wire, note: 1 }],
    ['an unknown member of a key', { ...wire, keys: [{ ...wire.keys[0], note: 1 }] }],
    ['no key', { ...wire, keys: [] }],
    ['no signature', { ...wire, signatures: [] }],
    ['sequence 0', { ...wire, sequence: 0 }],
    ['an unknown use', { ...wire, keys: [{ ...wire.keys[0], use: 'owner' }] }],
    ['an unknown algorithm', { ...wire, keys: [{ ...wire.keys[0], alg: 'ML-DSA-43' }] }],
    ['an empty trust domain', { ...wire, trustDomain: '' }],
  ])('with %s is refused', (_, bundle) => {
    expect(trustBundle.safeParse(bundle).success).toBe(false)
  })
})

function withFlippedKey(key: TrustKey): TrustKey {
  return { ...key, publicKey: toBase64url(flipBit(Buffer.from(key.publicKey, 'base64url'), 3000)) }
}
