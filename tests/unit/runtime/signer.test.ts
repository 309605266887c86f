import { describe, expect, test } from 'vitest'
import { keyId } from '../../../protocol/key-id.ts'
import { signatureAlgorithmNames, signatureContexts } from '../../../protocol/suites.ts'
import { createLocalSigner, type Signer, verifying } from '../../../runtime/custody/signer.ts'
import { native as crypto, flipBit, toUtf8 } from '../../support/protocol-providers.ts'

const message = toUtf8('a bucket certificate')
const { bucket, trust } = signatureContexts

/** What every signing key of the service promises, wherever it lives. Each call of `open` gives another key. */
function describeSigner(title: string, open: () => Promise<Signer>): void {
  describe(`${title} as a signer`, () => {
    test('signs what its public key verifies, in that context only', async () => {
      const signer = await open()
      const signature = await signer.sign(message, bucket)
      const key = crypto.importVerificationKey(signer.alg, signer.publicKey)
      expect(key.verify(message, bucket, signature)).toBe(true)
      expect(key.verify(message, trust, signature)).toBe(false)
      expect(key.verify(toUtf8('another'), bucket, signature)).toBe(false)
    })

    test('is named after its public key', async () => {
      const [one, other] = [await open(), await open()]
      expect(one.keyId).toBe(keyId(crypto, one.alg, one.publicKey))
      expect(one.keyId).not.toBe(other.keyId)
    })
  })
}

describe.each(signatureAlgorithmNames)('%s', (alg) => {
  describeSigner('a key in memory', async () => createLocalSigner(crypto, alg, crypto.randomBytes(32)))
})

test('a local signer keeps its key when the caller wipes the seed', async () => {
  const seed = crypto.randomBytes(32)
  const again = createLocalSigner(crypto, 'ML-DSA-44', Uint8Array.from(seed))
  const signer = createLocalSigner(crypto, 'ML-DSA-44', seed)
  seed.fill(0)
  await signer.sign(message, bucket)
  expect(signer.keyId).toBe(again.keyId)
})

describe('a signer that lies is stopped before anybody uses its signature:', () => {
  const honest = createLocalSigner(crypto, 'ML-DSA-44', crypto.randomBytes(32))
  const other = createLocalSigner(crypto, 'ML-DSA-44', crypto.randomBytes(32))
  const lies: Record<string, Signer['sign']> = {
    'one bit wrong': async (bytes, context) => flipBit(await honest.sign(bytes, context), 1000),
    'the signature of another key': other.sign,
    'the signature of another message': (_, context) => honest.sign(toUtf8('another'), context),
    'the signature in another context': (bytes) => honest.sign(bytes, trust),
    'zeros of the right length': async () => new Uint8Array(2420),
    nothing: async () => new Uint8Array(0),
  }
  test.each(Object.keys(lies))('%s', async (lie) => {
    const signer = verifying(crypto, { ...honest, sign: lies[lie] as Signer['sign'] })
    await expect(signer.sign(message, bucket)).rejects.toThrow(
      `The signer of ${honest.keyId} gave a signature that is not valid.`,
    )
  })

  test('but its own failure comes through', async () => {
    const broken = verifying(crypto, { ...honest, sign: () => Promise.reject(new Error('no connection')) })
    await expect(broken.sign(message, bucket)).rejects.toThrow('no connection')
  })
})
