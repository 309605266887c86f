import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { NIL_UUID } from '../../../protocol/log/audit-event.ts'
import { signatureContexts } from '../../../protocol/suites.ts'
import type { ReserveKekUses } from '../../../runtime/custody/kek-uses.ts'
import { keyringPurposes, openKeyring, type WrappedKek, wrapNewKek } from '../../../runtime/custody/keyring.ts'
import { followServiceKeys } from '../../../runtime/custody/live-service-keys.ts'
import { SealError, type SealedPlace, sealPurposes } from '../../../runtime/custody/sealed-record.ts'
import {
  type SealedSigningKey,
  type StoredServiceKeys,
  signingKeyPlace,
} from '../../../runtime/custody/service-keys.ts'
import { createLocalSigner, currentOf } from '../../../runtime/custody/signer.ts'
import { createRootKeyWrapper } from '../../../runtime/custody/wrapper.ts'
import { createLogger } from '../../../runtime/logger.ts'
import { native as crypto } from '../../support/protocol-providers.ts'

const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
const place: SealedPlace = { organizationId: NIL_UUID, table: 't', column: 'c', primaryKey: new Uint8Array(1) }
const { bucket } = signatureContexts

/** What the database would have. */
const stored = { keks: [] as WrappedKek[], signingKeys: [] as SealedSigningKey[], state: 0, reads: 0, isAway: false }

async function makeKey(use: SealedSigningKey['use']): Promise<SealedSigningKey> {
  const seed = crypto.randomBytes(32)
  const { keyId: kid, alg } = createLocalSigner(crypto, 'ML-DSA-44', seed)
  const keyring = await openKeyring(crypto, wrapper, stored.keks)
  return { kid, use, alg, sealedSeed: keyring.seal('signingKey', signingKeyPlace(kid), seed) }
}

async function replace(use: SealedSigningKey['use']): Promise<void> {
  const made = await makeKey(use)
  stored.signingKeys = [...stored.signingKeys.filter((key) => key.use !== use), made]
  stored.state += 1
}

beforeEach(async () => {
  stored.keks = await Promise.all(keyringPurposes.map((purpose) => wrapNewKek(crypto, wrapper, purpose, 1)))
  stored.signingKeys = await Promise.all((['root', 'bucket', 'attestation', 'audit'] as const).map(makeKey))
  Object.assign(stored, { state: 0, reads: 0, isAway: false })
})

async function follow(reserveUses: ReserveKekUses = async () => {}) {
  const keys = await followServiceKeys({
    crypto,
    wrapper,
    logger: createLogger('silent'),
    async readState() {
      if (stored.isAway) throw new Error('no connection')
      return String(stored.state)
    },
    async readKeys(): Promise<StoredServiceKeys> {
      stored.reads += 1
      const { signingKeys, keks } = stored
      return { signingKeys, keks: keks.map((kek) => ({ ...kek, purpose: sealPurposes[kek.purpose] })) }
    },
    reserveUses,
  })
  onTestFinished(() => keys.close())
  return keys
}

describe('the keys that a process follows', () => {
  test('are those of now after a look, and are not read again where nothing changed', async () => {
    const { bucketSigner, refresh } = await follow()
    const before = bucketSigner.keyId
    await refresh()
    expect([bucketSigner.keyId, stored.reads]).toEqual([before, 1])
    await replace('bucket')
    await refresh()
    expect(bucketSigner.keyId).toBe(stored.signingKeys.at(-1)?.kid)
    expect(stored.reads).toBe(2)
  })

  test('give a signature and the id beside it of one key, whatever rotates between the two', async () => {
    const { bucketSigner, refresh } = await follow()
    const signer = currentOf(bucketSigner)
    await replace('bucket')
    await refresh()
    const message = new Uint8Array([1])
    const signature = await signer.sign(message, bucket)
    expect(crypto.importVerificationKey(signer.alg, signer.publicKey).verify(message, bucket, signature)).toBe(true)
    expect(currentOf(bucketSigner).keyId).not.toBe(signer.keyId)
  })

  test('stay those of before when they cannot be read or opened', async () => {
    const { bucketSigner, refresh } = await follow()
    const before = bucketSigner.keyId
    await replace('bucket')
    stored.isAway = true
    await expect(refresh()).rejects.toThrow('no connection')
    stored.isAway = false
    const whole = stored.signingKeys
    stored.signingKeys = whole.map((key) => ({ ...key, sealedSeed: new Uint8Array(67) }))
    await expect(refresh()).rejects.toThrow(SealError)
    expect(bucketSigner.keyId).toBe(before)
    stored.signingKeys = whole
    await refresh()
    expect(bucketSigner.keyId).not.toBe(before)
  })

  test('know a version the moment that a record names it, and one that there is not stays unknown', async () => {
    const { keyring } = await follow()
    const young = await wrapNewKek(crypto, wrapper, 'challenge', 2)
    stored.keks = [...stored.keks.map((kek) => ({ ...kek, active: kek.purpose !== 'challenge' })), young]
    stored.state += 1
    const elsewhere = await openKeyring(crypto, wrapper, stored.keks, { take: () => {} })
    const record = elsewhere.seal('challenge', place, new Uint8Array([7]))
    const opened = await Promise.all([1, 2, 3, 4].map(() => keyring.open('challenge', place, record)))
    expect(opened.map((secret) => [...secret])).toEqual([[7], [7], [7], [7]])
    expect(stored.reads, 'four ask at once').toBe(2)
    expect(keyring.activeVersion('challenge')).toBe(2)
    await expect(keyring.isMac('identityMac', 9, record, record)).rejects.toThrow('no key-encryption key 9')
  })
})
