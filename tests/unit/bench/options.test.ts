import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { medianOf, percentileOf, summarize } from '../../../bench/figure.ts'
import { parseOptions } from '../../../bench/options.ts'
import { toTable, toText } from '../../../bench/print-table.ts'
import { readResult } from '../../../bench/result.ts'

describe('the options of the bench', () => {
  test('are everything, in sizes up to a million, without any', () => {
    expect(parseOptions([])).toMatchObject({
      only: [
        'crypto',
        'attestation',
        'reattestation',
        'lookups',
        'memory',
        'scale',
        'exchange',
        'audit',
        'monitor',
        'rounds',
        'jobs',
        'rotation',
        'pruning',
        'flood',
      ],
      auditEntries: 1_000_000,
      roundDevices: 10_000,
      sizes: [1_000, 100_000, 1_000_000],
      memoryExchanges: 20_000,
      out: undefined,
    })
  })

  test('name the parts to measure', () => {
    expect(parseOptions(['--only', 'memory,crypto'])?.only).toEqual(['memory', 'crypto'])
    expect(() => parseOptions(['--only', 'crypto,disk'])).toThrow('not disk')
  })

  test.each(['0', '-1', '1.5', '1e3', '', '100000000'])('take no count of %j', (count) => {
    expect(() => parseOptions([`--rounds=${count}`])).toThrow('--rounds takes a whole number')
  })

  test('take sizes that ascend', () => {
    expect(parseOptions(['--sizes', '10,20'])?.sizes).toEqual([10, 20])
    expect(() => parseOptions(['--sizes', '20,10'])).toThrow('ascending')
    expect(() => parseOptions(['--sizes', '10,10'])).toThrow('ascending')
  })

  test('ask for help', () => {
    expect(parseOptions(['--help'])).toBeUndefined()
  })
})

describe('a figure', () => {
  test('is the least, the median and the greatest of its samples', () => {
    const figure = summarize({ part: 'p', name: 'n', unit: 'ms' }, [3, 1, 2, 10])
    expect(figure).toMatchObject({ min: 1, median: 2.5, max: 10, samples: 4, better: 'lower' })
  })

  test('of nothing is refused', () => {
    expect(() => summarize({ part: 'p', name: 'n', unit: 'ms' }, [])).toThrow('nothing was measured')
  })

  test('is a percentile by nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect([0.5, 0.99, 1].map((share) => percentileOf(hundred, share))).toEqual([50, 99, 100])
    expect(percentileOf([7], 0.99)).toBe(7)
    expect(medianOf([])).toBeNaN()
  })

  test('is shown in three digits', () => {
    expect([0, 0.012345, 1.2345, 12.345, 123.45, 12_345].map(toText)).toEqual([
      '0',
      '0.0123',
      '1.23',
      '12.3',
      '123',
      '12345',
    ])
  })

  test('stands in a column', () => {
    const table = toTable(
      ['name', 'ms'],
      [
        ['a', '1'],
        ['long', '100'],
      ],
    )
    expect(table).toBe('name   ms\na       1\nlong  100')
  })
})

test('a run leaves a result that names the machine, and neither its owner nor its folders', {
  timeout: 120_000,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'qflare-bench-run-'))
  try {
    const main = fileURLToPath(new URL('../../../bench/main.ts', import.meta.url))
    const file = join(folder, 'result.json')
    execFileSync(process.execPath, [main, '--only', 'crypto', '--out', file], { stdio: 'ignore' })
    const result = readResult(file)
    expect(result.figures.map(({ name }) => name)).toContain('ML-KEM-1024 decapsulate, native')
    expect(result.host).toMatchObject({ node: process.versions.node, postgres: null })
    expect(JSON.stringify(result)).not.toContain(folder)
    expect(result.options).not.toHaveProperty('out')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
