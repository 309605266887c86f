import {
  allFlags,
  argumentChoices,
  type Completable,
  firstWords,
  groups,
  quoted,
  takesPath,
  type Word,
} from './completion-words.ts'
import type { Flag } from './flags.ts'

export function zshScript(commands: readonly Completable[]): string {
  return `#compdef qflare
# zsh completion of qflare, as \`qflare completion zsh\` printed it
_qflare() {
  local -a choices
  if [[ "$words[2]" == help ]] && (( CURRENT > 2 )); then
    shift words
    (( CURRENT-- ))
  fi
  if (( CURRENT == 2 )); then
    choices=(${describe(firstWords(commands))})
    _describe command choices
    return
  fi
  local command="$words[2]"
  case "$command" in
${groups(commands).map(groupCase).join('\n')}
  esac
  shift words
  (( CURRENT-- ))
  case "$command" in
${commands.map(commandCase).join('\n')}
  esac
}
if [[ "$funcstack[1]" == _qflare ]]; then _qflare "$@"; else compdef _qflare qflare; fi
`
}

function groupCase({ group, members }: { group: string; members: Word[] }): string {
  return `    ${group})
      if (( CURRENT == 3 )); then
        choices=(${describe(members)})
        _describe command choices
        return
      fi
      command="$command $words[3]"
      shift words
      (( CURRENT-- )) ;;`
}

function commandCase(command: Completable): string {
  const choices = argumentChoices(command)
  const argument = choices.length === 0 ? [] : [quoted(`1: :(${choices.join(' ')})`)]
  const specs = [...allFlags(command).map(({ name, flag }) => quoted(flagSpec(name, flag))), ...argument]
  return `    ${quoted(command.name)})
      _arguments ${specs.join(' \\\n        ')} ;;`
}

function flagSpec(name: string, flag: Flag): string {
  const star = flag.type === 'string' && flag.multiple === true ? '*' : ''
  const head = `${star}--${name}[${escaped(flag.help)}]`
  if (flag.type === 'boolean') return head
  if (flag.choices !== undefined) return `${head}:${flag.value}:(${flag.choices.join(' ')})`
  return `${head}:${escaped(flag.value)}:${takesPath(flag) ? '_files' : ' '}`
}

function describe(words: readonly Word[]): string {
  return words.map(({ word, help }) => quoted(`${word}:${help.replaceAll(':', '\\:')}`)).join(' ')
}

/** Inside the description of a flag. */
function escaped(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&')
}
