import { describe, expect, it } from 'vitest'
import { buildDashboard } from '../../grafana/build-dashboard.ts'
import { dashboards } from '../../grafana/list-dashboards.ts'
import { RUNBOOKS } from '../../grafana/runbooks.ts'
import { panelsOf, readDashboard, type WrittenDashboard, type WrittenPanel } from '../support/dashboard-queries.ts'
import { metricOf, promqlNames } from '../support/promql-names.ts'
import { listFiles, readText } from './repository.ts'

const written = listFiles()
  .filter((path) => path.startsWith('grafana/dashboards/'))
  .map(readDashboard)
const address = new RegExp(`^\\$\\{${RUNBOOKS}:raw\\}(docs/[a-z/-]+\\.md)#([a-z-]+)$`)
const runbooksOf = ({ links }: WrittenPanel) => links.map(({ url }) => address.exec(url)?.[1] ?? url)
const metricsOf = (expressions: string[]) => new Set(expressions.flatMap(promqlNames).map(metricOf))

/** What a recorded series is made of. */
const recorded = new Map(
  [...readText('prometheus/rules/recording.yml').matchAll(/record: (\S+)\n +expr: >-\n((?: {10}.*\n)+)/g)].map(
    ([, name = '', expr = '']) => [name, expr],
  ),
)
const alerts = readText('prometheus/rules/alerts.yml')
  .split(/^ {6}- alert: /m)
  .slice(1)
  .map((block) => {
    const expr = /^ {8}expr: '(.*)'$/m.exec(block)?.[1] ?? ''
    const records = promqlNames(expr).flatMap((name) => recorded.get(name) ?? [])
    return {
      name: /^\w+/.exec(block)?.[0] ?? '',
      runbook: /runbook_url: (\S+)/.exec(block)?.[1] ?? '',
      uid: /dashboard: \/d\/(\S+)/.exec(block)?.[1] ?? '',
      isRecorded: records.length > 0,
      metrics: metricsOf(records.length > 0 ? records : [expr]),
    }
  })
const shows = ({ targets }: WrittenPanel, metrics: ReadonlySet<string>) =>
  [...metricsOf(targets.map(({ expr }) => expr))].some((name) => metrics.has(name))

describe('the panels of grafana/dashboards/', () => {
  it.each(alerts)('lead from what $name watches, on the dashboard that it names, to its runbook', (alert) => {
    const { name, runbook, uid, metrics } = alert
    const panels = written.filter((dashboard) => dashboard.uid === uid).flatMap(panelsOf)
    const leading = panels.filter((panel) => shows(panel, metrics) && runbooksOf(panel).includes(runbook))
    expect(leading.map(({ title }) => title)).not.toEqual([])
    for (const { links, description } of leading) {
      expect(links.map(({ title }) => title)).toContain(name)
      expect(description).toContain(`\n\nRunbook: ${runbook}`)
    }
  })

  it('have a runbook wherever they show what an alert watches by itself', () => {
    const missing = written.flatMap((dashboard) =>
      panelsOf(dashboard).flatMap((panel) => {
        // Every panel that shows a 0 asks whether anything answers.
        const watching = alerts.filter(
          ({ isRecorded, metrics }) => !isRecorded && !metrics.has('up') && shows(panel, metrics),
        )
        const leads = watching.some(({ runbook }) => runbooksOf(panel).includes(runbook))
        return watching.length === 0 || leads ? [] : [`${dashboard.uid}, ${panel.title}`]
      }),
    )
    expect(missing).toEqual(withoutAlert)
  })

  it('lead to headings that exist, of runbooks alone, and nowhere twice', () => {
    const links = written.flatMap(panelsOf).flatMap((panel) => panel.links.map(({ url }) => url))
    expect(links.length).toBeGreaterThan(50)
    for (const url of links) {
      const [, path = '', heading = ''] = address.exec(url) ?? []
      expect(path, url).toMatch(/^docs\/runbooks\//)
      const headings = [...readText(path).matchAll(/^#+ (.+)$/gm)].map(([, text = '']) => toAnchor(text))
      expect(headings, url).toContain(heading)
    }
    for (const panel of written.flatMap(panelsOf)) expect(new Set(runbooksOf(panel)).size).toBe(panel.links.length)
  })

  it('lead to where somebody reads this repository, when that is said, and to no machine when it is not', () => {
    const valueOf = (built: Pick<WrittenDashboard, 'templating'>) =>
      built.templating.list.find(({ name }) => name === RUNBOOKS)
    for (const dashboard of written) {
      expect(valueOf(dashboard)).toMatchObject({ type: 'constant', query: expect.stringMatching(/\.invalid\/$/) })
    }
    const runbooks = 'https://git.example/qflare/blob/main/'
    for (const dashboard of dashboards) {
      const built = JSON.stringify(buildDashboard(dashboard, { runbooks }))
      expect(built).toContain(`"query":"${runbooks}"`)
      expect(built).not.toContain('.invalid')
    }
  })
})

/** Of one severity, on which no alert is. */
const withoutAlert = ['qflare-incidents, Warnings, open']

/** As the pages of code hosts name a heading. */
function toAnchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- ]/gu, '')
    .replaceAll(' ', '-')
}
