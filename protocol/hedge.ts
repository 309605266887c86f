import { encode } from './encoding.ts'
import { expand } from './key-derivation.ts'
import type { Primitives } from './primitives.ts'

/** What one exchange of a device draws in secret (docs/protocol.md §4); the caller wipes it. */
export interface ExchangeSeeds {
  /** d ‖ z of the ephemeral key, 64 bytes. */
  ephemeralKey: Uint8Array
  /** m of the encapsulation to the bucket key, 32 bytes. */
  encapsulation: Uint8Array
}

/**
 * The seeds of an exchange, from fresh random bytes and from secrets that the device holds, so that neither alone gives them
 * away. `previousChain` is the chain key of the session before: it is erased later, so that who steals the identity seed
 * then cannot work out old seeds of a device whose random source was bad.
 */
export function hedgeExchange(
  crypto: Primitives,
  secrets: { identitySeed: Uint8Array; previousChain?: Uint8Array | undefined },
): ExchangeSeeds {
  const { identitySeed, previousChain = new Uint8Array(0) } = secrets
  const prk = drawHedged(crypto, (random) => encode('QFLARE-v1 hedge', random, identitySeed, previousChain))
  const ephemeralKey = expand(crypto, prk, encode('QFLARE-v1 hedge key'), 64)
  const encapsulation = expand(crypto, prk, encode('QFLARE-v1 hedge encapsulation'), 32)
  prk.fill(0)
  return { ephemeralKey, encapsulation }
}

/**
 * The seed of a new identity key, 32 bytes. `secret`: of its enrolment token, which the server drew, or the seed of the key
 * that it takes the place of.
 */
export function hedgeIdentitySeed(crypto: Primitives, secret: Uint8Array): Uint8Array {
  const drawn = drawHedged(crypto, (random) => encode('QFLARE-v1 hedge identity', random, secret))
  const seed = drawn.slice(0, 32)
  drawn.fill(0)
  return seed
}

/** The hash, 64 bytes, of what `mix` makes of 64 random bytes. */
function drawHedged(crypto: Primitives, mix: (random: Uint8Array) => Uint8Array): Uint8Array {
  const random = crypto.randomBytes(64)
  const mixed = mix(random)
  const drawn = Uint8Array.from(crypto.hash512(mixed))
  random.fill(0)
  mixed.fill(0)
  return drawn
}
