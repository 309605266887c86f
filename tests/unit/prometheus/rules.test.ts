import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createMetrics } from '../../../runtime/metrics.ts'
import { listFiles, readText, root } from '../../architecture/repository.ts'
import { metricOf, promqlNames } from '../../support/promql-names.ts'

/** In CI it has to be there: a test that is skipped there proves nothing. */
const hasPromtool =
  process.env.CI === 'true' ||
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'promtool')))

const rules = readText('prometheus/rules/alerts.yml')
const blocks = rules.split(/^ {6}- alert: /m).slice(1)
const alerts = blocks.map((block) => ({ name: /^\w+/.exec(block)?.[0] ?? '', block }))
const files = listFiles()

describe('prometheus/rules/alerts.yml', () => {
  test('has alerts of which each says how bad it is, since when, what it is, what to do and where to look, by files that are there', () => {
    expect(alerts.length).toBeGreaterThan(25)
    for (const { name, block } of alerts) {
      expect(name).toMatch(/^Qflare[A-Z]\w+$/)
      expect(block, name).toMatch(/^ {8}for: \d+[smh]$/m)
      expect(block, name).toMatch(/severity: (page|ticket) /)
      expect(block, name).toMatch(/^ {10}summary: '.+'$/m)
      expect(block, name).toMatch(/^ {10}description: '.+'$/m)
      const runbook = /^ {10}runbook_url: (docs\/runbooks\/[a-z-]+\.md)$/m.exec(block)?.[1] ?? ''
      expect(files, name).toContain(runbook)
      expect(readText(runbook)).toMatch(new RegExp(`^# ${name}\\n`))
      const dashboard = /^ {10}dashboard: \/d\/([a-z-]+)$/m.exec(block)?.[1] ?? ''
      expect(files, name).toContain(`grafana/dashboards/${dashboard}.json`)
    }
    expect(new Set(alerts.map(({ name }) => name)).size).toBe(alerts.length)
    const runbooks = files.filter((path) => path.startsWith('docs/runbooks/') && !path.endsWith('/README.md'))
    expect(runbooks.filter((path) => !rules.includes(path))).toEqual([])
  })

  test('has of every alert a case in which it fires and one in which it does not', () => {
    const cases = readText('prometheus/tests/alerts.test.yml')
      .split(/^ {8}alertname: /m)
      .slice(1)
    const names = (isQuiet: boolean) =>
      cases
        .filter((text) => /^ {8}exp_alerts: \[\]$/m.test(text.split('\n  - name:')[0] ?? '') === isQuiet)
        .map((text) => /^\w+/.exec(text)?.[0])
    const wanted = alerts.map(({ name }) => name)
    expect(names(false)).toEqual(wanted)
    expect(names(true)).toEqual(wanted)
  })

  test('names metrics of the code and recorded series alone', async () => {
    const known = (await createMetrics().registry.getMetricsAsJSON()).map(({ name }) => name)
    const recording = readText('prometheus/rules/recording.yml')
    const recorded = [...recording.matchAll(/record: (\S+)/g)].map(([, name = '']) => name)
    const ofAlerts = blocks.map((block) => /^ {8}expr: '(.*)'$/m.exec(block)?.[1] ?? '')
    const ofRecords = [...recording.matchAll(/expr: >-\n((?: {10}.*\n)+)/g)].map(([, text = '']) => text)
    expect(ofRecords).toHaveLength(recorded.length)
    const names = [...ofAlerts, ...ofRecords].map(promqlNames)
    expect(names.filter((found) => found.length === 0)).toEqual([])
    const unknown = names.flat().filter((name) => ![...recorded, 'up', ...known].includes(metricOf(name)))
    expect(unknown).toEqual([])
    expect(recorded.filter((name) => !ofAlerts.join(' ').includes(name))).toEqual([])
  })
})

test.skipIf(!hasPromtool).each([
  ['check', 'config', 'prometheus/prometheus.yml'],
  ['test', 'rules', 'prometheus/tests/alerts.test.yml'],
])('promtool %s %s %s finds nothing wrong', { timeout: 120_000 }, (...args) => {
  expect(execFileSync('promtool', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' })).toContain('SUCCESS')
})

test('names of metrics are found in PromQL, and labels, functions, texts and windows are none', () => {
  const expression =
    'sum by (le, route) (rate(a_bucket{job="up_x",le="0.25"}[5m])) / on (role) group_left (x) count(b:c_d > 1.5e3) or time() - e unless f offset 1h'
  expect(promqlNames(expression)).toEqual(['a_bucket', 'b:c_d', 'e', 'f'])
  expect(metricOf('a_bucket')).toBe('a')
})
