import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toBase64Padded } from '../../../protocol/encoding.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { formatWitnessRequest, parseWitnessRequest } from '../../../protocol/log/witness-request.ts'

const hash = new Uint8Array(32).fill(7)
const line = toBase64Padded(hash)
const note = 'example.com/log\n5\nAAAA\n\n\u2014 example.com/log AAAA\n'

function refusalOf(text: string): string {
  try {
    parseWitnessRequest(text)
    return 'taken'
  } catch (error) {
    return error instanceof ProtocolError ? error.code : String(error)
  }
}

describe('the body of add-checkpoint', () => {
  it('is what C2SP tlog-witness shows', () => {
    expect(formatWitnessRequest({ oldSize: 20852014, proof: [hash, hash], checkpoint: note })).toBe(
      `old 20852014\n${line}\n${line}\n\n${note}`,
    )
    expect(formatWitnessRequest({ oldSize: 0, proof: [], checkpoint: note })).toBe(`old 0\n\n${note}`)
  })

  it('is read as it was written', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 63 }),
        fc.string({ unit: 'binary' }),
        (oldSize, proof, checkpoint) => {
          const request = { oldSize, proof, checkpoint }
          expect(parseWitnessRequest(formatWitnessRequest(request))).toEqual(request)
        },
      ),
    )
  })

  it('has one spelling: what is taken is written the same', () => {
    const text = `old 12\n${line}\n\n${note}`
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(2), fc.string({ maxLength: 2 }), (at, removed, added) => {
        const changed = text.slice(0, at) + added + text.slice(at + removed)
        if (refusalOf(changed) === 'taken') expect(formatWitnessRequest(parseWitnessRequest(changed))).toBe(changed)
      }),
      { numRuns: 2_000 },
    )
  })

  it('takes 63 hashes and no more', () => {
    const lines = (count: number) => `${line}\n`.repeat(count)
    expect(parseWitnessRequest(`old 1\n${lines(63)}\n${note}`).proof).toHaveLength(63)
    expect(refusalOf(`old 1\n${lines(64)}\n${note}`)).toBe('log_invalid')
    expect(() =>
      formatWitnessRequest({ oldSize: 1, proof: Array<Uint8Array>(64).fill(hash), checkpoint: note }),
    ).toThrow(ProtocolError)
  })

  it.each([
    ['nothing', ''],
    ['a checkpoint alone', note],
    ['no empty line', `old 1\n${line}\nnote`],
    ['no size', `old \n\n${note}`],
    ['a leading zero', `old 01\n\n${note}`],
    ['a sign', `old -1\n\n${note}`],
    ['an exponent', `old 1e3\n\n${note}`],
    ['two blanks', `old  1\n\n${note}`],
    ['a size beyond 2^53', `old 9007199254740992\n\n${note}`],
    ['a size of 20 digits', `old 18446744073709551615\n\n${note}`],
    ['carriage returns', `old 1\r\n\r\n${note}`],
    ['capitals', `Old 1\n\n${note}`],
    ['a first line of its own', `\nold 1\n\n${note}`],
    ['a hash of 31 bytes', `old 1\n${toBase64Padded(hash.subarray(1))}\n\n${note}`],
    ['a hash of 33 bytes', `old 1\n${toBase64Padded(new Uint8Array(33))}\n\n${note}`],
    ['a hash without padding', `old 1\n${line.slice(0, -1)}\n\n${note}`],
    ['a hash in base64url', `old 1\n${toBase64Padded(new Uint8Array(32).fill(255)).replaceAll('/', '_')}\n\n${note}`],
    ['a hash with bits behind its end', `old 1\n${line.slice(0, -2)}d=\n\n${note}`],
    ['a hash with a blank', `old 1\n${line} \n\n${note}`],
  ])('is refused with %s', (_, text) => {
    expect(refusalOf(text)).toBe('log_invalid')
  })
})
