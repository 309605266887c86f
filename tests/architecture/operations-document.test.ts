import { describe, expect, it } from 'vitest'
import { readText } from './repository.ts'

const path = 'docs/operations.md'

describe(`the settings of ${path}`, () => {
  it('are those of config.example.env, in its order and with its defaults', () => {
    const example = [...readText('config.example.env').matchAll(/^([A-Z_]+)=(.*)$/gm)]
    expect(example.length).toBeGreaterThan(10)
    expect(settings().map(({ name, byDefault }) => `${name}=${byDefault}`)).toEqual(
      example.map(([, name, value]) => `${name}=${value}`),
    )
  })

  it('each say which values there are', () => {
    expect(settings().filter(({ values }) => !/\w/.test(values))).toEqual([])
  })
})

/** The rows of the table under "Settings": variable, default, values, what. */
function settings(): { name: string; byDefault: string; values: string }[] {
  const section = /^## Settings$([\s\S]*?)^## /m.exec(readText(path))?.[1] ?? ''
  return [...section.matchAll(/^\| `([A-Z_]+)` \|([^|]*)\|([^|]*)\|/gm)].map(
    ([, name = '', byDefault = '', values = '']) => ({
      name,
      byDefault: byDefault.trim().replace(/^`|`$/g, ''),
      values,
    }),
  )
}
