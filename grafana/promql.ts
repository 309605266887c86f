/** The processes that are chosen above a dashboard. Their names come from Prometheus: All is what it has of QFLARE, and nothing else. */
const chosen = 'job=~"$job",instance=~"$instance"'

/** Results of exchanges that are our fault, not that of who asks. */
export const OURS = 'result=~"internal|unavailable|overloaded"'
/** All that the objective is about: who floods us with what we refuse must not hide an outage. As prometheus/rules/recording.yml has it. */
export const OURS_OR_DONE = 'result=~"opened|established|internal|unavailable|overloaded"'

/** Grafana's window for rates: at least four scrapes, however short the time that is shown. */
const window = '[$__rate_interval]'

/** A metric of the chosen processes. */
export function of(metric: string, labels = ''): string {
  return `${metric}{${labels === '' ? chosen : `${chosen},${labels}`}}`
}

/** By how much a counter grows in a second. */
export function perSecond(metric: string, labels = ''): string {
  return `rate(${of(metric, labels)}${window})`
}

/** Of a histogram, over all chosen processes, and for each value of the label `by` where one is given; 0 of one by which nothing went. */
export function quantile(rank: number, metric: string, { by = '', labels = '' } = {}): string {
  const grouping = by === '' ? 'le' : `le, ${by}`
  const found = `histogram_quantile(${rank}, sum by (${grouping}) (${perSecond(`${metric}_bucket`, labels)}))`
  // Of nothing there is no quantile: NaN, which is more than no number, and less.
  return zeroWhileUp(`${found} >= 0`, by)
}

/**
 * 0 in the place of nothing, where nothing is good news, as long as some chosen process answers: of a service that is gone nobody may
 * read that it has no errors, not even those of a minute ago. `label` gives the 0 a name, where what is counted has one.
 */
export function zeroWhileUp(expression: string, label = ''): string {
  return insteadWhileUp(expression, 0, label)
}

/** -1 in the place of nothing, for a panel that has a word for it. */
export function noneWhileUp(expression: string): string {
  return insteadWhileUp(expression, -1, '')
}

function insteadWhileUp(expression: string, number: number, label: string): string {
  const instead = label === '' ? `vector(${number})` : `label_replace(vector(${number}), "${label}", "none", "", "")`
  return `((${expression}) or on() ${instead}) and on() count(${answering})`
}

/** The chosen processes that answer Prometheus now. */
export const answering = `${of('up')} == 1`

/** What a counter grows by in a second, in all chosen processes; for each value of the label `by` where one is given. */
export function total(metric: string, { by = '', labels = '' } = {}): string {
  return zeroWhileUp(`sum${by === '' ? ' ' : ` by (${by}) `}(${perSecond(metric, labels)})`, by)
}

/** How many in the last day: what must never happen is not to be forgotten after a minute. */
export function inLastDay(metric: string, labels = ''): string {
  return zeroWhileUp(`sum(increase(${of(metric, labels)}[1d]))`)
}

/** The part of `metric` with `labels`, 0 to 1; 0 when nothing went at all. */
export function share(metric: string, labels: string, ofAll = ''): string {
  return zeroWhileUp(`sum(${perSecond(metric, labels)}) / (sum(${perSecond(metric, ofAll)}) > 0)`)
}

/** The eight of which there is most: more lines nobody reads. */
export function most(expression: string): string {
  return `topk(8, ${expression})`
}

/** A gauge that every process which knows it shows alike. */
export function highest(metric: string, { by = '', labels = '' } = {}): string {
  return `max${by === '' ? ' ' : ` by (${by}) `}(${of(metric, labels)})`
}

export function lowest(metric: string, { by = '', labels = '' } = {}): string {
  return `min${by === '' ? ' ' : ` by (${by}) `}(${of(metric, labels)})`
}
