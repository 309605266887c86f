import { z } from 'zod'
import { fromBase64url, isUuid, type Json, toBase64url } from './encoding.ts'
import { ProtocolError } from './errors.ts'
import { signatureAlgorithmNames, signatureAlgorithms, suiteNames } from './suites.ts'

/** base64url text on the wire, bytes inside; one of `lengths`, in bytes. */
export function bytes(...lengths: [number, ...number[]]) {
  const wanted = lengths.join(' or ')
  return decodedBytes([Math.min(...lengths), Math.max(...lengths)], wanted, (length) => lengths.includes(length))
}

/** The same, from `least` to `most` bytes. */
export function bytesWithin(least: number, most: number) {
  return decodedBytes([least, most], `${least} to ${most}`, (length) => length >= least && length <= most)
}

function decodedBytes([least, most]: [number, number], wanted: string, fits: (length: number) => boolean) {
  const textLength = (length: number) => Math.ceil((length * 4) / 3)
  return z.codec(
    z
      .string()
      .max(textLength(most))
      // For the documentation only: decoding is stricter, and one pass.
      .meta({ description: `${wanted} bytes`, pattern: '^[A-Za-z0-9_-]*$', minLength: textLength(least) }),
    z.custom<Uint8Array>((value) => value instanceof Uint8Array),
    {
      decode(text, context) {
        try {
          const value = fromBase64url(text)
          if (fits(value.length)) return value
          throw new ProtocolError('encoding_invalid', `Holds ${value.length} bytes, not ${wanted}.`)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          context.issues.push({ code: 'custom', message: error.message, input: text })
          return z.NEVER
        }
      },
      encode: (value) => toBase64url(value),
    },
  )
}

/** Canonical lower-case text, any version. */
export const uuid = z.string().refine(isUuid, 'Not a UUID in canonical lower-case text.').meta({ format: 'uuid' })
export const suite = z.enum(suiteNames)
export const signatureAlgorithm = z.enum(signatureAlgorithmNames)
/** What people read: nothing that shows nothing or breaks lines (and no lone surrogates, which PostgreSQL does not store either). */
export const printable = z
  .string()
  .regex(/^[^\p{C}]*$/u, 'Holds a control, format, private-use or unassigned character.')
/** 16 bytes, as text: inside `E` a kid is its text. */
export const kid = z.string().regex(/^[A-Za-z0-9_-]{21}[AQgw]$/, 'Not a kid: 22 characters of base64url.')
/** Milliseconds since the Unix epoch. */
export const timestamp = z.int().min(0).meta({ description: 'milliseconds since the Unix epoch' })
export const signature = bytes(
  signatureAlgorithms['ML-DSA-44'].signatureBytes,
  signatureAlgorithms['ML-DSA-65'].signatureBytes,
  signatureAlgorithms['ML-DSA-87'].signatureBytes,
)
const MAX_JSON_DEPTH = 32
export const json: z.ZodType<Json> = z.custom<Json>(
  (value) => isJson(value, MAX_JSON_DEPTH),
  'Not JSON, or nested too deep.',
)

function isJson(value: unknown, depth: number): value is Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth === 0) return false
  return Object.values(value).every((member) => isJson(member, depth - 1))
}
