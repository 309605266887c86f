import { ProtocolError } from '../../protocol/errors.ts'
import { createExportVerifier, type ExportReport, type ExportVerifier } from '../../protocol/log/audit-export.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { QflareError } from '../errors.ts'
import { auditKeyFlags, findLogKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { writeExportFile } from './export-file.ts'
import { printResult } from './print.ts'
import { withProgress } from './progress.ts'
import { progressText } from './progress-text.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'
import { requireRange } from './verify-export.ts'
import { printReport } from './verify-report.ts'

const indexFlag = {
  type: 'string',
  value: 'N',
  parse: (text: string) => (/^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : undefined),
  expects: 'the index of an entry, from 0',
} as const

export const auditExport = defineCommand({
  name: 'audit export',
  summary:
    'Writes the log into one file that can be verified without a network, and verifies it on the way where a key is given.',
  flags: {
    ...auditKeyFlags,
    from: { ...indexFlag, help: 'the first entry; default 0' },
    to: { ...indexFlag, help: 'the entry behind the last; default: all that is published' },
    out: { type: 'string', value: 'FILE', help: 'a new file, of mode 0600; FILE.partial until it is complete' },
    force: { type: 'boolean', help: 'write over FILE where it is there' },
  },
  examples: [
    'qflare audit export --out history.jsonl --key audit.vkey',
    'qflare audit export --from 120000 --out since-may.jsonl',
  ],
  notes: `Entries of other organizations are in it as hashes alone. A file that does not verify is kept: it is evidence. With --json and a key: what qflare audit verify prints.\n\n${auditorNotes}`,
  exitNotes: 'Here 1 also means that the export is in FILE and does not verify.',
  async run({ values }) {
    const { from, to, out, force = false, key, pin, json } = values
    if (out === undefined) throw usageError('--out FILE is missing: an export is no reading matter for a terminal.')
    if (key !== undefined && pin !== undefined) throw usageError('Either --key or --pin.')
    if (from !== undefined && to !== undefined && from > to) throw usageError('--from is behind --to.')
    const crypto = await choosePrimitives()
    const auditor = await openAuditorOf(values)
    const isVerified = key !== undefined || pin !== undefined
    const keys = isVerified ? await findLogKeys(crypto, values, auditor) : []
    const verifier = isVerified ? createExportVerifier(crypto, { log: keys }) : undefined
    const startedAt = performance.now()
    const given = auditor.exportLines({ from, to })
    const lines = isVerified ? given : countedLines(given)
    const written = await withProgress((report) =>
      writeExportFile(out, lines, { force }, followLines(verifier, report)),
    )
    if (verifier !== undefined) {
      const found = withCause(requireRange(verifier.finish(), { from, to }), written.problem)
      await printVerified(json, out, found, performance.now() - startedAt)
      return undefined
    }
    if (written.problem !== undefined) {
      throw new ProtocolError('log_invalid', `${written.problem.message} What came before is in ${out}.`)
    }
    const entries = written.lines - 2
    const next = `Verify it: qflare audit verify ${out} --key KEY`
    await printResult(json, { file: out, entries }, `${entries.toLocaleString('en')} entries are in ${out}. ${next}`)
    return undefined
  },
})

function printVerified(json: boolean | undefined, source: string, report: ExportReport, elapsedMs: number) {
  const { from, to, events, hashesOnly, problem, checkpoint } = report
  const witnesses = { given: 0, needed: 0, checkpoint }
  const entries = { from, to, events, hashesOnly }
  return printReport(json, {
    source,
    problem,
    entries,
    checkpoint,
    witnesses,
    elapsedMs,
    event: undefined,
    newest: undefined,
  })
}

/** Of a line that could not be read the verifier knows nothing. */
function withCause(report: ExportReport, cause: ProtocolError | undefined): ExportReport {
  if (cause === undefined) return report
  const reason = [report.problem?.reason, cause.message].filter(Boolean).join(' ')
  return { ...report, problem: { index: report.problem?.index, reason } }
}

/** Without a key: looks at nothing but whether there are as many lines as the first one says. Throws `bad_answer`. */
async function* countedLines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let count = 0
  let expected = Number.NaN
  let last = ''
  for await (const line of lines) {
    if (count === 0) expected = linesOf(line)
    count += 1
    last = line
    yield line
  }
  if (!last.startsWith('{"checkpoint":') || count === expected) return
  throw new QflareError('bad_answer', 'What came is no export with all of its lines. Try again.')
}

/** As the first line of an export says; NaN where it is none. */
function linesOf(header: string): number {
  const [, from, to] = /^\{"v":1,"origin":"(?:[^"\\]|\\.)*","from":(\d+),"to":(\d+),"frontier":\[/.exec(header) ?? []
  const entries = Number(to) - Number(from)
  return entries >= 0 ? entries + 2 : Number.NaN
}

/** Says how far it is, and gives each line to the verifier where there is one. */
function followLines(verifier: ExportVerifier | undefined, report: (text: string) => void): (line: string) => void {
  const startedAt = performance.now()
  let lines = 0
  let total: number | undefined
  return (line) => {
    verifier?.push(line)
    if (lines === 0) {
      const [, from = '0', to = ''] = /"from":(\d+),"to":(\d+)/.exec(line) ?? []
      total = to === '' ? undefined : Number(to) - Number(from)
    }
    if (lines % 1024 === 0) report(progressText({ done: lines, total }, 'entries', performance.now() - startedAt))
    lines += 1
  }
}
