import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readText, root } from './repository.ts'

const path = 'docs/dependencies.md'

describe(path, () => {
  it('has one row for every dependency of package.json and no other', () => {
    const named = rows().map(({ name }) => name)
    expect(named.sort()).toEqual(dependencies().sort())
  })

  it('gives a reason in every row', () => {
    const bare = rows().filter(({ reason }) => !/\w/.test(reason))
    expect(bare).toEqual([])
  })
})

/** The table's rows: the first column is a package name in backticks. */
function rows(): { name: string; reason: string }[] {
  expect(existsSync(join(root, path)), `${path} exists`).toBe(true)
  return [...readText(path).matchAll(/^\|\s*`([^`]+)`\s*\|(.*)$/gm)].map(([, name = '', reason = '']) => ({
    name,
    reason,
  }))
}

function dependencies(): string[] {
  type Versions = Record<string, string> | undefined
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'] as const
  const manifest = JSON.parse(readText('package.json')) as Record<(typeof kinds)[number], Versions>
  return kinds.flatMap((kind) => Object.keys(manifest[kind] ?? {}))
}
