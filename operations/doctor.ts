import { exitCodes } from '../client/command/exit-codes.ts'
import { printable, printResult } from '../client/command/print.ts'
import { bold, readingWidth, wrap } from '../client/command/terminal.ts'
import { dataDirectoryFlag, defineOperation, environmentNotes, environmentOf } from './define-operation.ts'
import { examineEverything } from './examine/examine-everything.ts'
import type { Finding, Level } from './examine/finding.ts'

const marks: Record<Level, string> = { ok: 'ok', warning: 'WARNING', problem: 'PROBLEM', unseen: 'not seen' }

export const doctor = defineOperation({
  name: 'doctor',
  summary: 'Examines the service on this machine, running or not, and changes nothing.',
  flags: {
    at: { type: 'string', value: 'URL', help: 'where the service answers; default: as its settings say' },
    ...dataDirectoryFlag,
  },
  examples: ['qflare doctor', 'qflare doctor --json --data-dir /srv/qflare'],
  notes: environmentNotes,
  exitNotes: 'Exit code 1 when there is a problem; a warning, or what could not be looked at, is none.',
  async run({ values }) {
    const findings = await examineEverything(environmentOf(values), values.at)
    const count = (level: Level) => findings.filter((finding) => finding.level === level).length
    const problems = count('problem')
    const warnings = count('warning')
    const headline = `problems: ${problems}, warnings: ${warnings}, not seen: ${count('unseen')}`
    await printResult(values.json, { problems, warnings, findings }, `${toText(findings)}\n\n${headline}`)
    return problems === 0 ? exitCodes.ok : exitCodes.refused
  },
})

function toText(findings: readonly Finding[]): string {
  const markWidth = Math.max(...Object.values(marks).map((mark) => mark.length))
  const partWidth = Math.max(...findings.map(({ part }) => part.length))
  const room = Math.max(30, readingWidth() - markWidth - partWidth - 4)
  return findings
    .flatMap(({ part, level, message, advice }) => {
      const mark = marks[level].padEnd(markWidth)
      const lines = [
        ...wrap(printable(message), room),
        ...(advice === undefined ? [] : wrap(`→ ${printable(advice)}`, room)),
      ]
      const margin = ' '.repeat(markWidth + partWidth + 4)
      return lines.map((line, index) =>
        index === 0 ? `${level === 'problem' ? bold(mark) : mark}  ${part.padEnd(partWidth)}  ${line}` : margin + line,
      )
    })
    .join('\n')
}
