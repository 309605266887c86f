import {
  allFlags,
  argumentChoices,
  type Completable,
  firstWords,
  groups,
  takesPath,
  type Word,
} from './completion-words.ts'
import type { Flag } from './flags.ts'

export function fishScript(commands: readonly Completable[]): string {
  return `# fish completion of qflare, as \`qflare completion fish\` printed it
function __qflare_typed --description 'whether exactly these words, or these and more, were typed before the current one'
    set -l words (commandline -opc)
    set -e words[1]
    test "$words[1]" = help; and set -e words[1]
    if test "$argv[1]" = exactly
        test "$words" = "$argv[2..-1]"
    else
        test "$words[1..$(count $argv)]" = "$argv"
    end
end
complete -c qflare -f
${firstWords(commands)
  .map((word) => offer('exactly', word))
  .join('\n')}
${groups(commands)
  .flatMap(({ group, members }) => members.map((word) => offer(`exactly ${group}`, word)))
  .join('\n')}
${commands.flatMap(commandLines).join('\n')}
`
}

function offer(typed: string, { word, help }: Word): string {
  return `complete -c qflare -n '__qflare_typed ${typed}' -a ${word} -d ${fishQuoted(help)}`
}

function commandLines(command: Completable): string[] {
  const condition = `complete -c qflare -n '__qflare_typed ${command.name}'`
  const choices = argumentChoices(command)
  return [
    ...(choices.length === 0 ? [] : [`${condition} -a ${fishQuoted(choices.join(' '))}`]),
    ...allFlags(command).map(({ name, flag }) => `${condition} -l ${name}${valueOf(flag)} -d ${fishQuoted(flag.help)}`),
  ]
}

function valueOf(flag: Flag): string {
  if (flag.type === 'boolean') return ''
  if (flag.choices !== undefined) return ` -x -a ${fishQuoted(flag.choices.join(' '))}`
  return takesPath(flag) ? ' -r -F' : ' -x'
}

function fishQuoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
