import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { clientErrorCodes } from '../../client/errors.ts'
import { protocolErrorCodes } from '../../protocol/errors.ts'
import { auditEventTypes } from '../../protocol/log/audit-event.ts'
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

test('every type of audit event is written somewhere', async () => {
  const { listFiles } = await import('./repository.ts')
  const sources = listFiles()
    .filter((file) => /^(server|workers|operations)\/.*\.ts$/.test(file))
    .map((file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
    .join('\n')
  const written = new Set([...sources.matchAll(/'([a-z_]+\.[a-z_]+)'/g)].map(([, type]) => type as string))
  expect(auditEventTypes.filter((type) => !written.has(type))).toEqual([])
})
