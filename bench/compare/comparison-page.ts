import { toText } from '../print-table.ts'
import type { BenchResult } from '../result.ts'
import { type ComparedFigure, differencesOfHosts, NOISE } from './compare-results.ts'

/** One page that needs nothing from elsewhere: no script, no font, no image. Everything from the results is escaped. */
export function comparisonPage(before: BenchResult, after: BenchResult, compared: readonly ComparedFigure[]): string {
  const parts = [...new Set(compared.map(({ part }) => part))]
  const differences = differencesOfHosts(before, after)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>QFLARE bench: two results</title>
<style>${STYLE}</style>
</head>
<body>
<h1>QFLARE bench: two results</h1>
<table class="runs"><tr><th></th><th>measured</th><th>source</th><th>machine</th><th>software</th><th>load</th></tr>
${describeRun('before', before)}
${describeRun('after', after)}</table>
${differences.length === 0 ? '' : `<p class="worse">Not the same machine or software: ${escape(differences.join('; '))}.</p>`}
<p>Medians; the bar is after to before, its middle is no change. Within ${NOISE * 100} % two runs of one source differ too.</p>
${parts.map((part) => partTable(part, compared)).join('\n')}
</body>
</html>
`
}

function describeRun(name: string, { measuredAt, host }: BenchResult): string {
  const cells = [
    name,
    measuredAt,
    `${host.commit ?? 'no repository'}${host.changed ? ' and changes' : ''}`,
    `${host.cpuModel}, ${host.cores} cores, ${host.memoryGiB} GiB`,
    `${host.kernel}, Node ${host.node}, OpenSSL ${host.openssl}, PostgreSQL ${host.postgres ?? 'not started'}`,
    host.loadAverage.join(' '),
  ]
  return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`
}

function partTable(part: string, compared: readonly ComparedFigure[]): string {
  const rows = compared.filter((figure) => figure.part === part).map(figureRow)
  return `<h2>${escape(part)}</h2>
<table><tr><th>figure</th><th>unit</th><th>before</th><th>after</th><th>ratio</th><th></th><th></th></tr>
${rows.join('\n')}</table>`
}

function figureRow({ name, unit, before, after, ratio, verdict }: ComparedFigure): string {
  const range = (figure: ComparedFigure['before']) =>
    figure === undefined ? '–' : `${toText(figure.median)} <small>${toText(figure.min)}–${toText(figure.max)}</small>`
  return `<tr><td>${escape(name)}</td><td>${unit}</td><td class="n">${range(before)}</td><td class="n">${range(after)}</td>
<td class="n">${ratio === undefined ? '–' : toText(ratio)}</td><td>${ratio === undefined ? '' : bar(ratio, verdict)}</td>
<td class="${verdict}">${verdict.replace('_', ' ')}</td></tr>`
}

const BAR_WIDTH = 200

/** From the middle to the left for less, to the right for more; a half of the width is a factor of four. */
function bar(ratio: number, verdict: ComparedFigure['verdict']): string {
  const middle = BAR_WIDTH / 2
  const length = Math.min(middle, (Math.abs(Math.log2(ratio)) / 2) * middle)
  const start = ratio < 1 ? middle - length : middle
  return `<svg width="${BAR_WIDTH}" height="12" role="img" aria-label="${toText(ratio)}"><rect class="${verdict}" x="${start.toFixed(1)}" width="${length.toFixed(1)}" height="12"/><rect class="middle" x="${middle}" width="1" height="12"/></svg>`
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; width: 100% }
th, td { border-bottom: 1px solid #d8dee4; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
small { color: #59636e }
.better { color: #116329; fill: #2da44e } .worse { color: #a40e26; fill: #cf222e }
.alike, .only_before, .only_after { color: #59636e; fill: #8c959f } .middle { fill: #1b1f24 }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117 } th, td { border-color: #30363d } .middle { fill: #e6edf3 }
  .better { color: #57ab5a } .worse { color: #e5534b } small, .alike, .only_before, .only_after { color: #9198a1 }
}`
