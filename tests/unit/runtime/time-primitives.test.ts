import { describe, expect, test } from 'vitest'
import { createNativePrimitives } from '../../../protocol/primitives/native.ts'
import { createPortablePrimitives } from '../../../protocol/primitives/portable.ts'
import { createMetrics } from '../../../runtime/metrics.ts'
import { timePrimitives } from '../../../runtime/time-primitives.ts'
import { noTracer } from '../../../runtime/tracing/tracer.ts'

const CONTEXT = 'QFLARE-v1 exchange'
const message = new Uint8Array(64)

describe.each([createNativePrimitives(), createPortablePrimitives()])('the provider $provider', (crypto) => {
  const metrics = createMetrics()
  const timed = timePrimitives(crypto, metrics, noTracer)

  async function counted(): Promise<Record<string, number>> {
    const { values } = await metrics.cryptoSeconds.get()
    const counts = values.filter(({ metricName }) => metricName?.endsWith('_count'))
    for (const { labels } of counts) expect(labels.provider).toBe(crypto.provider)
    return Object.fromEntries(counts.map(({ labels, value }) => [labels.operation, value]))
  }

  test('computes the same when it is timed, and each operation is counted once, by its name', async () => {
    const plain = crypto.importDecapsulationKey('ML-KEM-1024', new Uint8Array(64).fill(1))
    const kem = timed.importDecapsulationKey('ML-KEM-1024', new Uint8Array(64).fill(1))
    expect(kem.encapsulationKey).toEqual(plain.encapsulationKey)
    const { ciphertext, sharedSecret } = timed.importEncapsulationKey('ML-KEM-1024', kem.encapsulationKey).encapsulate()
    expect(kem.decapsulate(ciphertext)).toEqual(sharedSecret)
    expect(plain.decapsulate(ciphertext)).toEqual(sharedSecret)

    const signer = timed.importSigningKey('ML-DSA-44', new Uint8Array(32).fill(1))
    const verifier = timed.importVerificationKey('ML-DSA-44', signer.publicKey)
    const signature = signer.sign(message, CONTEXT)
    expect(verifier.verify(message, CONTEXT, signature)).toBe(true)
    expect(verifier.verify(message.with(0, 1), CONTEXT, signature)).toBe(false)
    expect(await counted()).toEqual({ encapsulate: 1, decapsulate: 1, sign: 1, verify: 2 })
  })

  test('refuses what it refuses otherwise', () => {
    const kem = timed.importDecapsulationKey('ML-KEM-1024', new Uint8Array(64).fill(1))
    expect(() => kem.decapsulate(new Uint8Array(3))).toThrow(expect.objectContaining({ code: 'key_invalid' }))
    expect(() => timed.importVerificationKey('ML-DSA-44', new Uint8Array(3))).toThrow(
      expect.objectContaining({ code: 'key_invalid' }),
    )
  })
})
