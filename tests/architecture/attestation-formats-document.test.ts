import { describe, expect, it } from 'vitest'
import { evidenceFormats } from '../../protocol/attestation/formats.ts'
import { pathChecks } from '../../protocol/attestation/x509/path-rules.ts'
import { listFiles, readText } from './repository.ts'

const path = 'docs/attestation-formats.md'

describe.each(Object.keys(evidenceFormats))(`${path} on %s`, (format) => {
  it('names every check and finding of the code, and no other', () => {
    const section = readText(path).split(`\n## ${format}\n`)[1]?.split('\n## ')[0] ?? ''
    expect(section).not.toBe('')
    const rows = section.matchAll(new RegExp(`^\\| \`(${format}\\.[a-z0-9_]+)(?:\\.\\*)?\` \\|`, 'gm'))
    expect([...rows].map(([, check = '']) => check).sort()).toEqual(checksInCode(format))
  })
})

describe(`${path} on paths of certificates`, () => {
  it('names every check of the code, and no other', () => {
    const section = readText(path).split('\n## Paths of certificates\n')[1]?.split('\n## ')[0] ?? ''
    const rows = section.matchAll(/^\| `([a-z0-9_]+)` \|/gm)
    expect([...rows].map(([, check = '']) => check).sort()).toEqual(pathChecks)
  })
})

/** What is thrown, found, or given to the path validator: text in quotes that begins with the format's name. */
function checksInCode(format: string): string[] {
  const files = listFiles().filter((file) => file.startsWith(`protocol/attestation/formats/${format}`))
  const found = files.flatMap((file) => [...readText(file).matchAll(new RegExp(`'(${format}\\.[a-z0-9_]+)'`, 'g'))])
  return [...new Set(found.map(([, check = '']) => check))].sort()
}
