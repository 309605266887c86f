import type { CommandDescription } from './define-command.ts'
import type { Entry } from './entry.ts'
import { exitCodesHelp } from './exit-codes.ts'
import { type Flag, type Flags, withCommonFlags } from './flags.ts'
import { bold, readingWidth, wrap } from './terminal.ts'

export function commandHelp(description: CommandDescription): string {
  const { name, positionals = [], summary, flags, examples, notes, exitNotes } = description
  const usage = ['qflare', name, ...positionals, '[flags]'].join(' ')
  return [
    `${bold('Usage:')} ${usage}`,
    paragraphs(summary),
    section('Flags', flagLines(withCommonFlags(flags, description.isLocal))),
    examples.length === 0
      ? undefined
      : section(
          'Examples',
          examples.map((line) => `  ${line}`),
        ),
    notes === undefined ? undefined : paragraphs(notes),
    exitNotes === undefined ? exitCodesHelp : `${exitCodesHelp}\n${paragraphs(exitNotes)}`,
  ]
    .filter((part) => part !== undefined)
    .join('\n\n')
}

/** Of the first word that several commands share: `token`. */
export function groupHelp(group: string, members: readonly Entry[]): string {
  return [
    `${bold('Usage:')} qflare ${group} COMMAND [flags]`,
    section('Commands (each has --help)', commandLines(members)),
  ].join('\n\n')
}

export function overview(entries: readonly Entry[]): string {
  return `${bold('Usage:')} qflare COMMAND [flags]

${section('Commands (each has --help)', commandLines(entries))}

${paragraphs(
  'Flags follow the command. `qflare help COMMAND` says more about one, `qflare version` prints the version. No flag takes a secret: tokens come from files, from the environment or from stdin. In a checkout, `qflare` is `npx --no qflare`, here and in every hint.',
)}

${section('Environment (flags win)', twoColumns(variables))}

${exitCodesHelp}`
}

/** What the commands read; those on this machine itself read the settings of the service besides. */
const variables = [
  ['QFLARE_URL', 'the server, as --url'],
  ['QFLARE_STATE', 'the file of the device, as --state'],
  ['QFLARE_DATA_DIR', 'the data folder, where device.json and admin-token are without the others'],
  ['QFLARE_ADMIN_TOKEN_FILE', 'the file of an API token'],
  ['QFLARE_ENROLLMENT_TOKEN', 'an enrolment token, as --token-file'],
  ['TPM2TOOLS_TCTI', 'the TPM, as --tcti'],
] as const

function commandLines(entries: readonly Entry[]): string[] {
  return twoColumns(entries.map(({ name, summary }) => [name, summary]))
}

function flagLines(flags: Flags): string[] {
  return twoColumns(
    Object.entries(flags).map(([name, flag]) => [
      flag.type === 'boolean' ? `--${name}` : `--${name} ${flag.value}`,
      flagHelp(flag),
    ]),
  )
}

function flagHelp(flag: Flag): string {
  if (flag.type === 'boolean') return flag.help
  const { choices, default: byDefault, multiple } = flag
  const extras = [
    ...(choices === undefined ? [] : [choices.join(', ')]),
    ...(byDefault === undefined ? [] : [`default: ${byDefault}`]),
    ...(multiple === true ? ['may be repeated'] : []),
  ]
  return extras.length === 0 ? flag.help : `${flag.help} (${extras.join('; ')})`
}

function twoColumns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  const room = Math.max(20, readingWidth() - width - 4)
  return rows.flatMap(([name, text]) =>
    wrap(text, room).map((line, index) => `  ${(index === 0 ? name : '').padEnd(width)}  ${line}`),
  )
}

function section(title: string, lines: readonly string[]): string {
  return [bold(`${title}:`), ...lines].join('\n')
}

function paragraphs(text: string): string {
  return text
    .split('\n')
    .flatMap((line) => wrap(line, readingWidth()))
    .join('\n')
}
