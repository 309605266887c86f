import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { compareResults, differencesOfHosts } from '../../../bench/compare/compare-results.ts'
import { comparisonPage } from '../../../bench/compare/comparison-page.ts'
import { type Figure, summarize } from '../../../bench/figure.ts'
import type { BenchResult } from '../../../bench/result.ts'

const main = fileURLToPath(new URL('../../../bench/compare/main.ts', import.meta.url))

function resultOf(figures: Figure[], host: Partial<BenchResult['host']> = {}): BenchResult {
  return {
    version: 1,
    measuredAt: '2026-11-22T10:00:00.000Z',
    host: {
      cpuModel: 'a processor',
      cores: 2,
      memoryGiB: 8,
      kernel: 'Linux 6',
      node: '26.10.0',
      openssl: '3.5.8',
      postgres: '18.4',
      commit: 'abc',
      changed: false,
      loadAverage: [1, 1, 1],
      ...host,
    },
    options: { rounds: 5 },
    figures,
  }
}

const cpu = (...samples: number[]) => summarize({ part: 'exchange', name: 'CPU', unit: 'ms' }, samples)
const rate = (...samples: number[]) =>
  summarize({ part: 'exchange', name: 'exchanges', unit: '/s', better: 'higher' }, samples)

describe('two results', () => {
  test('are compared by their medians, and a higher rate is as good as a lower time', () => {
    const compared = compareResults(resultOf([cpu(9, 10, 30), rate(100)]), resultOf([cpu(5), rate(200)]))
    expect(compared.map(({ name, ratio, verdict }) => [name, ratio, verdict])).toEqual([
      ['CPU', 0.5, 'better'],
      ['exchanges', 2, 'better'],
    ])
    const turned = compareResults(resultOf([cpu(5), rate(200)]), resultOf([cpu(10), rate(100)]))
    expect(turned.map(({ verdict }) => verdict)).toEqual(['worse', 'worse'])
  })

  test('are alike within the noise', () => {
    expect(compareResults(resultOf([cpu(10)]), resultOf([cpu(10.9)]))[0]?.verdict).toBe('alike')
    expect(compareResults(resultOf([cpu(10)]), resultOf([cpu(11.1)]))[0]?.verdict).toBe('worse')
  })

  test('show what only one of them has', () => {
    const compared = compareResults(resultOf([cpu(1)]), resultOf([rate(1)]))
    expect(compared.map(({ name, ratio, verdict }) => [name, ratio, verdict])).toEqual([
      ['exchanges', undefined, 'only_after'],
      ['CPU', undefined, 'only_before'],
    ])
  })

  test('give no ratio to nothing', () => {
    expect(compareResults(resultOf([cpu(0)]), resultOf([cpu(1)]))[0]).toMatchObject({
      ratio: undefined,
      verdict: 'alike',
    })
  })

  test('of two machines say so', () => {
    const [before, after] = [resultOf([cpu(1)]), resultOf([cpu(1)], { cores: 64, postgres: null })]
    expect(differencesOfHosts(before, after)).toEqual(['cores: 2 → 64', 'postgres: 18.4 → none'])
    expect(differencesOfHosts(before, before)).toEqual([])
  })
})

describe('the page', () => {
  test('needs nothing from elsewhere, and runs nothing', () => {
    const result = resultOf([cpu(1), rate(1)])
    const page = comparisonPage(result, result, compareResults(result, result))
    expect(page).not.toMatch(/https?:|src=|href=|@import|url\(|<script|<link|<img/i)
  })

  test('shows what a result holds as text', () => {
    const hostile = '<script>alert(1)</script>"&\''
    const figure = { ...cpu(1), part: hostile, name: hostile }
    const result = resultOf([figure], { cpuModel: hostile, commit: hostile })
    const page = comparisonPage(result, result, compareResults(result, result))
    expect(page).not.toContain('<script')
    expect(page).toContain('&#60;script&#62;')
  })
})

describe('the command', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'qflare-compare-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (name: string, value: unknown) => {
    const file = join(folder, name)
    writeFileSync(file, JSON.stringify(value))
    return file
  }

  test('prints a table and writes the page', () => {
    const files = [write('a.json', resultOf([cpu(10)])), write('b.json', resultOf([cpu(5)]))]
    const out = join(folder, 'page.html')
    const said = execFileSync(process.execPath, [main, ...files, '--out', out], { encoding: 'utf8' })
    expect(said).toMatch(/exchange: CPU\s+ms\s+10\.0\s+5\.00\s+0\.500\s+better/)
    expect(readFileSync(out, 'utf8')).toContain('<td>CPU</td>')
  })

  test('refuses what is no result, by the name of the file, and another version', () => {
    const good = write('good.json', resultOf([cpu(1)]))
    for (const bad of [{ ...resultOf([cpu(1)]), version: 2 }, { ...resultOf([]) }, { figures: 'none' }]) {
      const run = spawnSync(process.execPath, [main, good, write('bad.json', bad)], { cwd: folder, encoding: 'utf8' })
      expect(run.status).not.toBe(0)
      expect(run.stderr).toContain('bad.json is no bench result of version 1')
    }
  })

  test('shows its usage without two files', () => {
    const run = spawnSync(process.execPath, [main, 'one.json'], { cwd: folder, encoding: 'utf8' })
    expect(run.status).toBe(2)
    expect(run.stderr).toContain('npm run bench:compare')
  })
})
