import { expect, it } from 'vitest'
import { parseFlags } from '../../../client/command/flags.ts'

const flags = {
  pin: { type: 'string', value: 'KID', help: 'a key id' },
  public: { type: 'boolean', help: 'no token' },
} as const

it('a value may begin with a dash, as one key id in 64 does', () => {
  const kid = '-7iO2SgBNRYAIOZeGYPDtw'
  expect(parseFlags(flags, ['--pin', kid, 'file']).values.pin).toBe(kid)
  expect(parseFlags(flags, [`--pin=${kid}`]).values.pin).toBe(kid)
  expect(parseFlags(flags, ['--pin', kid, 'file']).positionals).toEqual(['file'])
})

it('a flag without its value is still refused, whatever stands behind it', () => {
  for (const args of [['--pin'], ['--pin', '--public'], ['--pin', '-h']]) {
    expect(() => parseFlags(flags, args), args.join(' ')).toThrow(/--pin/)
  }
  expect(() => parseFlags(flags, ['--public', '-x'])).toThrow(/--?x/)
})
