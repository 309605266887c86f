import { describe, expect, it } from 'vitest'
import { entries as clientEntries } from '../../client/command/entries.ts'
import { buildDashboard } from '../../grafana/build-dashboard.ts'
import { dashboards } from '../../grafana/list-dashboards.ts'
import { entries as operationEntries } from '../../operations/entries.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { jobs } from '../../workers/queues.ts'
import { panelsOf, readDashboard } from '../support/dashboard-queries.ts'
import { listFiles, readText } from './repository.ts'

const COLUMNS = 24
const paths = listFiles().filter((path) => path.startsWith('grafana/dashboards/'))
const written = paths.map(readDashboard)
const expressions = written.flatMap(({ panels }) => panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)))

describe('grafana/dashboards/', () => {
  it('is what `npm run dashboards` writes, and nothing else', () => {
    const files = dashboards.map((dashboard) => [
      `grafana/dashboards/${dashboard.uid}.json`,
      `${JSON.stringify(buildDashboard(dashboard), null, 2)}\n`,
    ])
    expect(Object.fromEntries(paths.map((path) => [path, readText(path)]))).toEqual(Object.fromEntries(files))
  })

  it('has addresses and titles that are unique', () => {
    for (const values of [written.map(({ uid }) => uid), written.map(({ title }) => title)]) {
      expect(new Set(values).size).toBe(values.length)
    }
    expect(written.length).toBeGreaterThan(5)
  })
})

describe.each(written)('the dashboard $uid', (dashboard) => {
  const panels = panelsOf(dashboard)

  it('has ids and titles of panels that are unique', () => {
    // The schema of Grafana 12, which newer ones read too.
    expect(dashboard.schemaVersion).toBe(42)
    const ids = dashboard.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
  })

  it('begins with a row of numbers that fills the width and says whether it is well', () => {
    const [row, ...others] = dashboard.panels
    expect(row).toMatchObject({ type: 'row', title: 'Is it well?' })
    const first = others.slice(
      0,
      others.findIndex(({ type }) => type === 'row'),
    )
    expect(first.map(({ type }) => type)).toEqual(first.map(() => 'stat'))
    expect(new Set(first.map(({ gridPos }) => gridPos.y)).size).toBe(1)
  })

  it('has every place of its grid once', () => {
    const places = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    )
    expect(new Set(places).size).toBe(places.length)
    const bottom = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h))
    expect(places.length).toBe(COLUMNS * bottom)
    expect(dashboard.panels.filter(({ gridPos: { x, w } }) => x + w > COLUMNS)).toEqual([])
  })

  it('says of each panel what is normal and what to do otherwise, and has a unit and a query for it', () => {
    for (const { title, description, datasource, fieldConfig, targets } of panels) {
      expect(description, title).toMatch(/^Normal: \S[^]*\n\nOtherwise: \S/)
      expect(datasource, title).toEqual({ type: 'prometheus', uid: '${datasource}' })
      expect(fieldConfig?.defaults.unit, title).toMatch(/^\w+$/)
      expect(targets.length, title).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      expect(targets.map(({ expr, legendFormat }) => expr !== '' && legendFormat !== '')).not.toContain(false)
    }
  })

  it('is chosen by data source, job and instance alone, and marks the starts of processes', () => {
    const [constant, ...chosen] = dashboard.templating.list.toReversed()
    expect(chosen.map(({ name }) => name)).toEqual(['instance', 'job', 'datasource'])
    expect(constant).toMatchObject({ name: 'runbooks', type: 'constant', hide: 2 })
    expect(dashboard.annotations.list.map(({ name }) => name)).toEqual(['Starts'])
    const unknown = expressions.flatMap((expr) => expr.match(/\$\w+/g) ?? [])
    expect(new Set(unknown)).toEqual(new Set(['$job', '$instance', '$__rate_interval']))
  })
})

describe('what panels tell somebody to do', () => {
  const told = written.flatMap(panelsOf).map(({ description }) => description)
  const named = (pattern: RegExp) => [...new Set(told.flatMap((text) => text.match(pattern) ?? []))]

  it('can be done: the commands, settings, documents and jobs that they name are there', () => {
    const commands = [...clientEntries, ...operationEntries].map(({ name }) => name)
    const isCommand = (text: string) => commands.some((name) => `${text} `.startsWith(`\`qflare ${name} `))
    const quoted = named(/`qflare [^`]+/g)
    expect(quoted.length).toBeGreaterThan(5)
    expect(quoted.filter((text) => !isCommand(text))).toEqual([])
    const example = readText('config.example.env')
    expect(named(/\bQFLARE_[A-Z_]+/g).filter((name) => !example.includes(`\n${name}=`))).toEqual([])
    const files = listFiles()
    expect(named(/\bdocs\/[\w/-]+\.md/g).filter((path) => !files.includes(path))).toEqual([])
    const known = Object.keys(jobs)
    expect(named(/`[a-z]+-[a-z-]+`/g).filter((name) => !known.includes(name.replaceAll('`', '')))).toEqual([])
  })
})

/** Of prometheus/prometheus.yml, and of the operator for Kubernetes. A label of ours with such a name would be called `exported_…`. */
const ofTargets = ['job', 'instance', 'role', 'namespace', 'pod', 'container', 'service', 'endpoint']

describe('the metrics of the service', () => {
  it('have no label that Prometheus gives their process', () => {
    const labels = [...readText('runtime/metrics.ts').matchAll(/labelNames: \[([^\]]*)\]/g)].flatMap(
      ([, names = '']) => names.match(/\w+/g) ?? [],
    )
    expect(labels.length).toBeGreaterThan(25)
    expect(labels.filter((label) => ofTargets.includes(label))).toEqual([])
  })

  it('are each shown somewhere, and no dashboard shows one that there is not', async () => {
    const known = (await createMetrics().registry.getMetricsAsJSON()).map(({ name }) => name)
    const ours = known.filter((name) => name.startsWith('qflare_'))
    expect(ours.length).toBeGreaterThan(20)
    const shown = new Set(expressions.flatMap((expr) => expr.match(/\b[a-z][a-z0-9]*_[a-z0-9_]+(?=\{)/g) ?? []))
    const names = [...shown].map((name) => name.replace(/_(bucket|sum|count)$/, ''))
    expect(names.filter((name) => !known.includes(name))).toEqual([])
    expect(ours.filter((name) => !names.includes(name))).toEqual([])
  })
})
