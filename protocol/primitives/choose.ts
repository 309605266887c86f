import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'

/**
 * The provider for this process: native, or portable where it is asked for or where the runtime lacks the algorithms.
 * `crypto_unavailable` when native is demanded and cannot be had.
 */
export async function choosePrimitives(preferred?: 'native' | 'portable'): Promise<Primitives> {
  if (preferred !== 'portable') {
    try {
      const { createNativePrimitives } = await import('./native.ts')
      return createNativePrimitives()
    } catch (cause) {
      // An older runtime fails earlier than our own check: node:crypto lacks an imported name, or there is no node:crypto.
      if (preferred === 'native') {
        throw cause instanceof ProtocolError
          ? cause
          : new ProtocolError('crypto_unavailable', 'This runtime has no usable node:crypto.', { cause })
      }
    }
  }
  const { createPortablePrimitives } = await import('./portable.ts')
  return createPortablePrimitives()
}
