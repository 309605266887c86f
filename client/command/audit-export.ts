import { createExportVerifier, type ExportVerifier } from '../../protocol/log/audit-export.ts'
import { choosePrimitives } from '../../protocol/primitives/choose.ts'
import { auditKeyFlags, findLogKeys } from './audit-keys.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { writeExportFile } from './export-file.ts'
import { printResult } from './print.ts'
import { withProgress } from './progress.ts'
import { progressText } from './progress-text.ts'
import { auditorNotes, openAuditorOf } from './settings.ts'
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
    const written = await withProgress((report) =>
      writeExportFile(out, auditor.exportLines({ from, to }), { force }, followLines(verifier, report)),
    )
    if (verifier !== undefined) {
      await printVerified(json, out, verifier, performance.now() - startedAt)
      return undefined
    }
    const entries = written.lines - 2
    const next = `Verify it: qflare audit verify ${out} --key KEY`
    await printResult(json, { file: out, entries }, `${entries.toLocaleString('en')} entries are in ${out}. ${next}`)
    return undefined
  },
})

function printVerified(json: boolean | undefined, source: string, verifier: ExportVerifier, elapsedMs: number) {
  const { from, to, events, hashesOnly, problem, checkpoint } = verifier.finish()
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
