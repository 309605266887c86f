import { type Builder, type Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  type DataSourceRef,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  type Panel as BuiltPanel,
  DashboardLinkBuilder,
  DashboardLinkType,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type ValueMapping,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'
import type { Panel, Steps } from './describe.ts'
import { RUNBOOKS, runbookOf } from './runbooks.ts'

/** The choice above each dashboard. */
export const dataSource: DataSourceRef = { type: 'prometheus', uid: '${datasource}' }

const STAT_HEIGHT = 4
const LINES_HEIGHT = 8

/** What means the same has the same colour, on whatever dashboard. */
const colours: readonly { colour: string; of: readonly string[] }[] = [
  { colour: 'green', of: ['established', 'given', 'completed', 'affirming', 'delivered', 'ACTIVE', '2xx'] },
  { colour: 'blue', of: ['opened', 'PENDING', 'idle', 'epoch', 'notice', '3xx'] },
  { colour: 'orange', of: ['refused', 'warning', 'failed', 'stalled', 'SUSPENDED', '4xx', 'waiting'] },
  { colour: 'red', of: ['contraindicated', 'critical', 'dead', 'given_up', 'QUARANTINED', 'internal', '5xx'] },
  { colour: 'text', of: ['none', 'REVOKED', 'SUPERSEDED', 'total'] },
  { colour: 'super-light-green', of: ['p50'] },
  { colour: 'super-light-yellow', of: ['p95'] },
  { colour: 'super-light-red', of: ['p99'] },
]

export function buildPanel(panel: Panel): Builder<BuiltPanel> {
  return panel.look === 'stat' ? buildStat(panel) : buildLines(panel)
}

/** What its `i` says. The runbooks by their paths too, which are there where nobody has said where to read them. */
function describePanel({ normal, otherwise, alerts }: Panel): string {
  const runbooks = alerts.map((alert) => `\n\nRunbook: ${runbookOf(alert).path}`)
  return `Normal: ${normal}\n\nOtherwise: ${otherwise}${runbooks.join('')}`
}

function toLink(alert: string): DashboardLinkBuilder {
  const { path, heading } = runbookOf(alert)
  return new DashboardLinkBuilder(alert)
    .type(DashboardLinkType.Link)
    .url(`\${${RUNBOOKS}:raw}${path}#${heading}`)
    .targetBlank(true)
}

function buildStat(panel: Panel): StatBuilder {
  return (
    prepare(new StatBuilder(), panel, STAT_HEIGHT)
      // Of this moment: the last number of a service that is gone was a good one.
      .targets(toTargets(panel).map((target) => target.instant()))
      .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
      .colorMode(BigValueColorMode.Background)
      .graphMode(BigValueGraphMode.None)
      .noValue('no data')
      .mappings(toMappings(panel.words))
  )
}

function buildLines(panel: Panel): TimeSeriesBuilder {
  const builder = prepare(new TimeSeriesBuilder(), panel, LINES_HEIGHT)
    .targets(toTargets(panel).map((target) => target.range()))
    .min(0)
    .lineWidth(2)
    .fillOpacity(panel.look === 'stack' ? 40 : 0)
    .showPoints(VisibilityMode.Never)
    .stacking(new StackingConfigBuilder().mode(panel.look === 'stack' ? StackingMode.Normal : StackingMode.None))
    .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(thresholdsStyleOf(panel.steps)))
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassicByName))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
  for (const { colour, of } of colours) {
    builder.overrideByRegexp(`/^(${of.join('|')})$/`, [
      { id: 'color', value: { mode: FieldColorModeId.Fixed, fixedColor: colour } },
    ])
  }
  return builder
}

function prepare<B extends StatBuilder | TimeSeriesBuilder>(builder: B, panel: Panel, height: number): B {
  builder
    .id(panel.id)
    .title(panel.title)
    .description(describePanel(panel))
    .links(panel.alerts.map(toLink))
    .datasource(dataSource)
    .unit(panel.unit)
    .span(panel.width)
    .height(height)
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(toThresholds(panel.steps)))
  return builder
}

function toTargets({ queries }: Panel): (DataqueryBuilder & Builder<Dataquery>)[] {
  return queries.map(({ expr, legend }, index) =>
    new DataqueryBuilder()
      .refId(String.fromCharCode(65 + index))
      .datasource(dataSource)
      .expr(expr)
      .legendFormat(legend),
  )
}

function thresholdsStyleOf({ warn, bad }: Steps): GraphThresholdsStyleMode {
  return warn === undefined && bad === undefined ? GraphThresholdsStyleMode.Off : GraphThresholdsStyleMode.Dashed
}

/** In blue: it is neither good nor bad. */
function toMappings(words: Panel['words']): ValueMapping[] {
  const said = Object.entries(words).map(([value, text]) => [value, { text, color: 'blue' }] as const)
  return said.length === 0 ? [] : [{ type: MappingType.ValueToText, options: Object.fromEntries(said) }]
}

/** Rising, as Grafana wants them, from the colour of everything below the first. */
function toThresholds({ warn, bad, below = false }: Steps): Threshold[] {
  const known = [
    { value: warn, color: 'orange' },
    { value: bad, color: 'red' },
  ].filter((step): step is { value: number; color: string } => step.value !== undefined)
  // What has no good and no bad is not in the colour of either.
  if (known.length === 0) return [{ value: null, color: 'blue' }]
  if (!below) return [{ value: null, color: 'green' }, ...known]
  const falling = [{ value: Number.POSITIVE_INFINITY, color: 'green' }, ...known].toReversed()
  return falling.map(({ color }, index) => ({ color, value: falling[index - 1]?.value ?? null }))
}
