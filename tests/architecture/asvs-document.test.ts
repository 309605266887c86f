import { describe, expect, test } from 'vitest'
import { isCryptographic, requirements } from './asvs-requirements.ts'
import { namedTests, tables } from './markdown.ts'
import { listFiles, readText } from './repository.ts'

const path = 'docs/asvs.md'
const files = new Set(listFiles())

const rows = tables(path)
  .filter(({ heading }) => /^V\d+ /.test(heading))
  .flatMap(({ heading, rows }) =>
    rows.map(([numbers = '', , verdict = '', by = '']) => ({ heading, numbers, verdict, by })),
  )
const withVerdict = (...verdicts: string[]) => rows.filter(({ verdict }) => verdicts.includes(verdict))
const numbersOf = (found: typeof rows) => found.map(({ numbers }) => numbers)

describe('the list of requirements', () => {
  test('has as many of each level as the published one', () => {
    expect([1, 2, 3].map((level) => requirements.filter((one) => one.level === level).length)).toEqual([70, 183, 92])
  })
})

describe(path, () => {
  test('has each requirement of level 1 and 2, and of level 3 for cryptography, once and in order', () => {
    const asked = requirements.filter(({ number, level }) => level < 3 || isCryptographic(number))
    expect(rows.flatMap(({ numbers }) => numbersIn(numbers))).toEqual(asked.map(({ number }) => number))
  })

  test('has each of them in its chapter', () => {
    expect(numbersOf(rows.filter(({ heading, numbers }) => !heading.startsWith(`V${numbers.split('.')[0]} `)))).toEqual(
      [],
    )
  })

  test('gives a verdict that it explains', () => {
    const explained = tables(path)[0]?.rows.map(([verdict]) => verdict) ?? []
    expect(explained).toHaveLength(5)
    expect(numbersOf(rows.filter(({ verdict }) => !explained.includes(verdict)))).toEqual([])
  })

  test('names tests that exist', () => {
    expect(namedTests(readText(path)).filter((file) => !files.has(file))).toEqual([])
  })

  test('names a test for what is met', () => {
    expect(withVerdict('met').length).toBeGreaterThan(50)
    expect(numbersOf(withVerdict('met').filter(({ by }) => namedTests(by).length === 0))).toEqual([])
  })

  test('names the document where one is asked for', () => {
    expect(numbersOf(withVerdict('documented').filter(({ by }) => !/\]\([\w./-]+\.md/.test(by)))).toEqual([])
  })

  test('says in words what lacks, what it would take, and why something does not apply', () => {
    const others = withVerdict('partly', 'not met', 'not applicable')
    expect(numbersOf(others.filter(({ by }) => !/\p{L}/u.test(by.replace(/`[^`]*`/g, ''))))).toEqual([])
    expect(numbersOf(withVerdict('not met').filter(({ by }) => !/would take|is nothing to hold/.test(by)))).toEqual([])
  })
})

/** `1.2.4`, `1.3.4, 1.3.5` or `1.2.6–1.2.8`, the first to the last of a section. */
function numbersIn(text: string): string[] {
  return text.split(', ').flatMap((part) => {
    const [from = '', to = from] = part.split('–')
    const [section, first] = [from.slice(0, from.lastIndexOf('.')), lastOf(from)]
    if (!to.startsWith(`${section}.`) || lastOf(to) < first) return [part]
    return Array.from({ length: lastOf(to) - first + 1 }, (_, index) => `${section}.${first + index}`)
  })
}

function lastOf(number: string): number {
  return Number(number.slice(number.lastIndexOf('.') + 1))
}
