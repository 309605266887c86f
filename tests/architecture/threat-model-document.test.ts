import { describe, expect, test } from 'vitest'
import { namedTests, tables } from './markdown.ts'
import { listFiles, readText } from './repository.ts'

const path = 'docs/threat-model.md'
const files = new Set(listFiles())

const boundaries = [
  'Device and API',
  'Operator, coordinator or auditor and API',
  'Proxy and API',
  'Processes and PostgreSQL',
  'Processes and the Redis of queues and limits',
  'Processes and the Redis of temporal keys',
  'Processes and the file system',
  'Log and its witnesses, auditors and page',
  'Supply chain and build',
  'Tenant and tenant',
  'Collateral, anchors and reference values and the verifier',
]

const threats = [
  'spoofing',
  'tampering',
  'repudiation',
  'information disclosure',
  'denial of service',
  'elevation of privilege',
]

describe(path, () => {
  const found = tables(path)
  const byBoundary = found.slice(-boundaries.length)
  const byAttacker = found.slice(0, -boundaries.length)

  test('names tests that exist', () => {
    const named = namedTests(readText(path))
    expect(named.length).toBeGreaterThan(100)
    expect(named.filter((file) => !files.has(file))).toEqual([])
  })

  test('names a test for each attacker, or says that nothing prevents it', () => {
    expect(byAttacker.length).toBeGreaterThan(3)
    const bare = byAttacker.flatMap(({ rows }) => rows).filter((cells) => !isHeld(cells.join(' ')))
    expect(bare.map(([who]) => who)).toEqual([])
  })

  test('holds each boundary against the six threats', () => {
    expect(byBoundary.map(({ heading }) => heading)).toEqual(boundaries)
    expect(byBoundary.map(({ rows }) => rows.map(([threat]) => threat))).toEqual(boundaries.map(() => threats))
  })

  test('names at each boundary, for each threat, what stops it and a test, or says that nothing does', () => {
    const bare = byBoundary.flatMap(({ heading, rows }) =>
      rows
        .filter(([, control = '', tests = '']) => !isAbsent(control) && namedTests(tests).length === 0)
        .map(([threat]) => `${heading}: ${threat}`),
    )
    expect(bare).toEqual([])
  })
})

function isHeld(text: string): boolean {
  return namedTests(text).length > 0 || /\*not (promised|defended)\*/i.test(text)
}

function isAbsent(control: string): boolean {
  return control.startsWith('*not defended*: ')
}
