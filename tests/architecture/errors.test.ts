import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { clientErrorCodes } from '../../client/errors.ts'
import { protocolErrorCodes } from '../../protocol/errors.ts'
import { errorCodes, errorTable } from '../../server/errors.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

describe('docs/errors.md', () => {
  test('has a section for every code of the API, in its order, and for no other', () => {
    const sections = [...page.matchAll(/^## (\S+)$/gm)].map(([, code]) => code)
    expect(sections).toEqual(errorCodes)
  })

  test('names the status of every code, and what to do', () => {
    for (const code of errorCodes) {
      const section = page.split(`\n## ${code}\n`)[1]?.split('\n#')[0] ?? ''
      expect(section, code).toContain(`\n${errorTable[code].status}. `)
      expect(section, code).toContain('What to do: ')
    }
  })

  test('names every code that a device finds itself', () => {
    const table = page.split('\n# What a device finds itself\n')[1]?.split('\n# ')[0] ?? ''
    const named = new Set([...table.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code))
    for (const code of [...clientErrorCodes, ...protocolErrorCodes]) expect(named, code).toContain(code)
  })
})
