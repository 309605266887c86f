import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { toTable, toText } from '../print-table.ts'
import { readResult } from '../result.ts'
import { compareResults } from './compare-results.ts'
import { comparisonPage } from './comparison-page.ts'

const usage = `npm run bench:compare -- BEFORE.json AFTER.json [--out FILE]

Prints what changed between two results of npm run bench, and writes the same as one page (default: bench-comparison.html).`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string', default: 'bench-comparison.html' }, help: { type: 'boolean', default: false } },
})
const [beforeFile, afterFile, ...rest] = positionals

if (values.help) console.log(usage)
else if (beforeFile === undefined || afterFile === undefined || rest.length > 0) {
  console.error(usage)
  process.exitCode = 2
} else {
  const [before, after] = [readResult(beforeFile), readResult(afterFile)]
  const compared = compareResults(before, after)
  const rows = compared.map((figure) => [
    `${figure.part}: ${figure.name}`,
    figure.unit,
    figure.before === undefined ? '–' : toText(figure.before.median),
    figure.after === undefined ? '–' : toText(figure.after.median),
    figure.ratio === undefined ? '–' : toText(figure.ratio),
    figure.verdict.replace('_', ' '),
  ])
  console.log(toTable(['figure', 'unit', 'before', 'after', 'ratio', ''], rows))
  writeFileSync(values.out, comparisonPage(before, after, compared))
  console.log(`\nwritten to ${values.out}`)
}
