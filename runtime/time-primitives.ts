import type { Primitives } from '../protocol/primitives.ts'
import type { Metrics } from './metrics.ts'
import type { Tracer } from './tracing/tracer.ts'

/**
 * The same provider, which takes the time of every operation with a key of ML-KEM or ML-DSA. Hashes, MACs and AES-GCM are left out: the
 * clock would take a good part of theirs.
 */
export function timePrimitives(
  crypto: Primitives,
  metrics: Pick<Metrics, 'cryptoSeconds'>,
  tracer: Pick<Tracer, 'record'>,
): Primitives {
  const timerOf = (operation: string) => metrics.cryptoSeconds.labels(operation, crypto.provider)
  const timers = {
    encapsulate: timerOf('encapsulate'),
    decapsulate: timerOf('decapsulate'),
    sign: timerOf('sign'),
    verify: timerOf('verify'),
  }

  function time<T>(operation: keyof typeof timers, work: () => T): T {
    const startedAt = performance.now()
    const result = work()
    const durationMs = performance.now() - startedAt
    timers[operation].observe(durationMs / 1_000)
    tracer.record(operation, durationMs, { 'qflare.provider': crypto.provider })
    return result
  }

  return {
    ...crypto,
    importDecapsulationKey(suite, seed) {
      const key = crypto.importDecapsulationKey(suite, seed)
      return { ...key, decapsulate: (ciphertext) => time('decapsulate', () => key.decapsulate(ciphertext)) }
    },
    importEncapsulationKey(suite, bytes) {
      const key = crypto.importEncapsulationKey(suite, bytes)
      return { ...key, encapsulate: (randomness) => time('encapsulate', () => key.encapsulate(randomness)) }
    },
    importSigningKey(alg, seed) {
      const key = crypto.importSigningKey(alg, seed)
      return { ...key, sign: (message, context) => time('sign', () => key.sign(message, context)) }
    },
    importVerificationKey(alg, bytes) {
      const key = crypto.importVerificationKey(alg, bytes)
      return {
        ...key,
        verify: (message, context, signature) => time('verify', () => key.verify(message, context, signature)),
      }
    },
  }
}
