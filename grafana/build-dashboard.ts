import {
  AnnotationQueryBuilder,
  type Dashboard as BuiltDashboard,
  ConstantVariableBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableHide,
  type VariableModel,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { buildPanel, dataSource } from './build-panel.ts'
import type { Dashboard } from './describe.ts'
import { of } from './promql.ts'
import { NOWHERE, RUNBOOKS } from './runbooks.ts'

const TAG = 'qflare'
/** Rows have ids too; no alert names them. */
const FIRST_ROW_ID = 1_000

/**
 * Grafana's JSON of a dashboard, in the form that every Grafana reads from a file. `runbooks`: what stands before `docs/runbooks/` where
 * people read this repository.
 */
export function buildDashboard(
  { uid, title, description, sections }: Dashboard,
  { runbooks = NOWHERE }: { runbooks?: string | undefined } = {},
): BuiltDashboard {
  const builder = new DashboardBuilder(`QFLARE: ${title}`)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .time({ from: 'now-3h', to: 'now' })
    .refresh('30s')
    .timezone('utc')
    .tooltip(DashboardCursorSync.Crosshair)
    .readonly()
    .variables([
      new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'),
      choice('job', 'Job', `label_values(${PRESENT}, job)`),
      choice('instance', 'Instance', `label_values(${PRESENT}{job=~"$job"}, instance)`),
      { build: () => toHidden(new ConstantVariableBuilder(RUNBOOKS).value(runbooks).build()) },
    ])
    .annotation(starts())
    .link(
      new DashboardLinkBuilder('QFLARE')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    )
  for (const [index, section] of sections.entries()) {
    builder.withRow(new RowBuilder(section.title).id(FIRST_ROW_ID + index))
    for (const panel of section.panels) builder.withPanel(buildPanel(panel))
  }
  return builder.build()
}

/** What every process of QFLARE has, whatever its roles. */
const PRESENT = 'qflare_ready'

/** Without a value for All: Grafana then names each that there is, and nothing of other services. */
function choice(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(dataSource)
    .query({ query, refId: name })
    .definition(query)
    .multi(true)
    .includeAll(true)
    .current({ text: 'All', value: '$__all' })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
}

/** Nobody chooses it above a dashboard. */
function toHidden(variable: VariableModel): VariableModel {
  return { ...variable, hide: VariableHide.HideVariable }
}

/** A line where a process started: a deployment, or a crash. */
function starts(): AnnotationQueryBuilder {
  return new AnnotationQueryBuilder()
    .name('Starts')
    .datasource(dataSource)
    .enable(true)
    .iconColor('purple')
    .expr(`${of('process_start_time_seconds')} * 1000`)
    .useValueForTime(true)
    .titleFormat('{{job}} {{instance}} started')
}
