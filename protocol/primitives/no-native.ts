import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'

/** Stands for `native.ts` in what is bundled for browsers. Always throws `crypto_unavailable`. */
export function createNativePrimitives(): Primitives {
  throw new ProtocolError('crypto_unavailable', 'There is no node:crypto in a browser.')
}
