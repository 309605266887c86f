import { z } from 'zod'

/** Keys of any other type would become text on the way. */
const textMap = z.map(z.string(), z.unknown()).transform((map) => Object.fromEntries(map))

/** A map of CBOR with exactly these members. */
export function membersOf<Shape extends z.ZodRawShape>(shape: Shape) {
  return textMap.pipe(z.strictObject(shape))
}

/** A map of CBOR with these members among others. */
export function membersAmong<Shape extends z.ZodRawShape>(shape: Shape) {
  return textMap.pipe(z.object(shape))
}

/** From `least` to `most` bytes. */
export function byteString(least: number, most: number) {
  return z.instanceof(Uint8Array).refine(({ length }) => length >= least && length <= most)
}
