import fc from 'fast-check'
import { expect } from 'vitest'
import { ProtocolError } from '../../protocol/errors.ts'

/** How many mutations of evidence a fuzzing test makes: a full run has 100,000. */
export const fuzzRuns = Number(process.env.QFLARE_FUZZ_RUNS ?? 3_000)
/** Enough for a full run on a busy machine. */
export const FUZZ_TIMEOUT_MS = 900_000

type Change = (bytes: Buffer) => Buffer

function splice(bytes: Buffer, at: number, removed: number, ...added: Uint8Array[]): Buffer {
  const start = at % (bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, start), ...added, bytes.subarray(start + removed)])
}

const place = fc.nat(0xffff)
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(place, fc.nat(7)).map(
    ([at, bit]): Change =>
      (bytes) => {
        const start = at % (bytes.length || 1)
        return splice(bytes, start, 1, Buffer.of((bytes[start] ?? 0) ^ (1 << bit)))
      },
  ),
  fc.tuple(place, fc.nat(255)).map(
    ([at, byte]): Change =>
      (bytes) =>
        splice(bytes, at, 1, Buffer.of(byte)),
  ),
  fc.tuple(place, fc.uint8Array({ maxLength: 8 })).map(
    ([at, added]): Change =>
      (bytes) =>
        splice(bytes, at, 0, added),
  ),
  fc.tuple(place, fc.nat(8)).map(
    ([at, removed]): Change =>
      (bytes) =>
        splice(bytes, at, removed),
  ),
  fc.tuple(place, place, fc.nat(64)).map(
    ([to, from, length]): Change =>
      (bytes) => {
        const start = from % (bytes.length || 1)
        return splice(bytes, to, 0, bytes.subarray(start, start + length))
      },
  ),
  place.map(
    (at): Change =>
      (bytes) =>
        bytes.subarray(0, at % (bytes.length + 1)),
  ),
)

/** One of the seeds by its index, with a few changes to its bytes. */
export function mutationOf(seeds: readonly Uint8Array[]): fc.Arbitrary<{ index: number; bytes: Uint8Array }> {
  return fc
    .tuple(fc.nat(seeds.length - 1), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([index, changes]) => ({
      index,
      bytes: changes.reduce<Buffer>((bytes, one) => one(bytes), Buffer.from(seeds[index] as Uint8Array)),
    }))
}

/** Inputs that took longest, which are measured again. */
const SLOWEST = 50

/**
 * Of `fuzzRuns` mutations none is taken whose bytes differ from its seed's, and none throws anything but a ProtocolError of evidence or of a CoRIM.
 * `same` gives of bytes what makes them differ, where several encodings are one. Says what the slowest one takes: once, with whatever garbage is collected meanwhile, and as the best of five.
 */
export function fuzz(
  name: string,
  seeds: readonly Uint8Array[],
  verify: (bytes: Uint8Array, index: number) => unknown,
  same: (bytes: Uint8Array) => unknown = (bytes) => bytes,
): void {
  const codes = new Map<string, number>()
  let slowest: { ms: number; run: () => unknown }[] = []
  fc.assert(
    fc.property(mutationOf(seeds), ({ index, bytes }) => {
      const run = () => codeOf(() => verify(bytes, index))
      let code = ''
      const ms = timeOf(() => (code = run()))
      if (code === 'unchanged') expect(same(bytes), code).toEqual(same(seeds[index] as Uint8Array))
      codes.set(code, (codes.get(code) ?? 0) + 1)
      if (slowest.length === SLOWEST && ms <= (slowest.at(-1)?.ms ?? 0)) return
      slowest = [...slowest, { ms, run }].sort((one, other) => other.ms - one.ms).slice(0, SLOWEST)
    }),
    { numRuns: fuzzRuns },
  )
  const again = slowest.map(({ run }) => Math.min(...Array.from({ length: 5 }, () => timeOf(run))))
  const outcomes = [...codes].map(([code, count]) => `${code} ${count}`).sort()
  console.log(
    `${name}: ${fuzzRuns} mutations, ${outcomes.join(', ')}; slowest ${slowest[0]?.ms.toFixed(2)} ms once, ${Math.max(...again).toFixed(2)} ms as the best of five`,
  )
}

function codeOf(run: () => unknown): string {
  try {
    run()
    return 'unchanged'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    expect(['evidence_malformed', 'evidence_refused', 'corim_invalid']).toContain(error.code)
    return error.check ?? error.code
  }
}

function timeOf(run: () => unknown): number {
  const begin = performance.now()
  run()
  return performance.now() - begin
}
