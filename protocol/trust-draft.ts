import { z } from 'zod'
import { canonicalJson } from './encoding.ts'
import { ProtocolError } from './errors.ts'
import { type TrustKey, trustBundle, type UnsignedTrustBundle } from './trust.ts'
import { kid, signatureAlgorithm } from './wire.ts'

/** The next trust bundle, before the root of trust signed it. */
export const unsignedTrustBundle = trustBundle.omit({ signatures: true }).meta({ id: 'UnsignedTrustBundle' })

/** What is carried to a root of trust that is offline: the next bundle, and the signed one before it. */
export const trustDraftFile = z.strictObject({
  format: z.literal('qflare-trust-draft/1'),
  previous: trustBundle,
  next: unsignedTrustBundle,
})
export type TrustDraftFile = z.output<typeof trustDraftFile>

/** The root of trust itself, as it lives outside the service: whoever has the file can make devices trust any keys. */
export const rootOfTrustFile = z.strictObject({
  format: z.literal('qflare-root-of-trust/1'),
  trustDomain: z.string().min(1).max(255),
  kid,
  alg: signatureAlgorithm,
  seed: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
})
export type RootOfTrustFile = z.output<typeof rootOfTrustFile>

/** Of a file of one of these formats, which somebody else may have written. Throws `trust_invalid`. */
export function parseTrustFile<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    // What the parser says would show a part of the file, which may be a key.
    throw new ProtocolError('trust_invalid', 'It is no file of this kind.')
  }
}

/** What the next bundle changes; keys whose end alone is another are `ended`. */
export interface TrustDifference {
  added: TrustKey[]
  ended: TrustKey[]
  removed: TrustKey[]
}

/**
 * Throws `trust_invalid` where a next bundle does what none may: it does not follow the one before, it names a key twice or another
 * set of roots of trust, or it changes more of a key than to bring its end nearer.
 */
export function compareTrustBundles(held: UnsignedTrustBundle, next: UnsignedTrustBundle): TrustDifference {
  if (next.trustDomain !== held.trustDomain || next.sequence !== held.sequence + 1) {
    throw new ProtocolError(
      'trust_invalid',
      `Bundle ${next.sequence} of ${next.trustDomain} does not follow bundle ${held.sequence} of ${held.trustDomain}.`,
    )
  }
  const before = new Map(held.keys.map((key) => [key.kid, key]))
  const after = new Map(next.keys.map((key) => [key.kid, key]))
  if (after.size < next.keys.length)
    throw new ProtocolError('trust_invalid', 'The next trust bundle names a key twice.')
  const difference: TrustDifference = {
    added: next.keys.filter(({ kid }) => !before.has(kid)),
    ended: [],
    removed: held.keys.filter(({ kid }) => !after.has(kid)),
  }
  for (const key of next.keys) {
    const old = before.get(key.kid)
    if (old === undefined || isSame(old, key)) continue
    if (key.notAfter > old.notAfter || !isSame({ ...old, notAfter: key.notAfter }, key)) {
      throw new ProtocolError('trust_invalid', `The next trust bundle makes another key of ${key.kid}.`)
    }
    difference.ended.push(key)
  }
  if (Object.values(difference).some((keys: TrustKey[]) => keys.some(({ use }) => use === 'root'))) {
    throw new ProtocolError('trust_invalid', 'The next trust bundle has other roots of trust.')
  }
  return difference
}

/** Whether two bundles are the same but for who signed them. */
export function isSameBundle(a: UnsignedTrustBundle, b: UnsignedTrustBundle): boolean {
  return a.trustDomain === b.trustDomain && a.sequence === b.sequence && isSame(a.keys, b.keys)
}

function isSame(a: TrustKey | TrustKey[], b: TrustKey | TrustKey[]): boolean {
  return canonicalJson(a) === canonicalJson(b)
}
