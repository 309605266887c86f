import { describe, expect, test } from 'vitest'
import { findMutants } from '../../../scripts/find-mutants.ts'

const mutate = (text: string) => findMutants('a.ts', text).map((mutant) => mutant.text)

describe('mutants of a file', () => {
  test.each([
    ['a guard', 'if (a !== b) throw c', ['if (false) throw c']],
    ['a guard in a block', 'if (a) { throw c }', ['if (false) { throw c }']],
    ['a condition', 'if (a) { b() }', ['if (!(a)) { b() }', 'if (a) { ; }']],
    ['a ternary', 'const d = a ? b : c', ['const d = !(a) ? b : c']],
    ['a default branch', 'switch (a) { default: throw b }', ['switch (a) { default: ; }']],
    ['a call', 'requireThis(a)', [';']],
    ['operands', 'const d = a && b || c', ['const d = c', 'const d = a && b', 'const d = b || c', 'const d = a || c']],
    ['a negation', 'const d = !a', ['const d = a']],
    ['a bound', 'const d = a < b', ['const d = a <= b']],
    ['an equality', 'const d = a === b', ['const d = a !== b']],
    ['a quantifier', 'const d = a.every(b)', ['const d = a.some(b)']],
    ['what every object has', 'const d = a.toString()', []],
    ['text beyond ASCII before it', "const d = '§…😀'; e()", ["const d = '§…😀'; ;"]],
  ])('change %s', (_, text, mutants) => {
    expect(mutate(text)).toEqual(mutants)
  })

  test('name the line', () => {
    expect(findMutants('a.ts', 'const a = 1\n\nif (a) throw b')).toMatchObject([{ line: 3, what: 'no guard: a' }])
  })
})
