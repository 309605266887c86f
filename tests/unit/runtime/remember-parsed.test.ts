import { expect, test } from 'vitest'
import { rememberParsed } from '../../../runtime/remember-parsed.ts'

function counted() {
  const asked: string[] = []
  const read = rememberParsed((text) => {
    asked.push(text)
    return JSON.parse(text) as unknown
  })
  return { asked, read }
}

test('a text is parsed once, and another by itself', () => {
  const { asked, read } = counted()
  expect(read('{"a":1}')).toBe(read('{"a":1}'))
  expect(read('{"a":2}')).toEqual({ a: 2 })
  expect(asked).toEqual(['{"a":1}', '{"a":2}'])
})

test('of many texts those that were used last are kept', () => {
  const { asked, read } = counted()
  const often = read('"often"')
  for (let n = 0; n < 1_000; n++) {
    read(`${n}`)
    expect(read('"often"')).toBe(often)
  }
  read('0')
  expect(asked.filter((text) => text === '"often"')).toHaveLength(1)
  expect(asked.filter((text) => text === '0')).toHaveLength(2)
})

test('what cannot be parsed throws each time', () => {
  const { asked, read } = counted()
  for (let times = 0; times < 2; times++) expect(() => read('{')).toThrow(SyntaxError)
  expect(asked).toHaveLength(2)
})
