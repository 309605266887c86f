import {
  allFlags,
  argumentChoices,
  type Completable,
  firstWords,
  groups,
  quoted,
  type Word,
} from './completion-words.ts'

/** For bash 3.2 and newer. Where it has nothing to say, bash completes file names. */
export function bashScript(commands: readonly Completable[]): string {
  return `# bash completion of qflare, as \`qflare completion bash\` printed it
_qflare() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" at=1 command choices=
  # --flag=value comes as three words
  if [ "$cur" = = ]; then cur=; elif [ "$prev" = = ]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  [ "\${COMP_WORDS[1]}" = help ] && at=2
  command="\${COMP_WORDS[at]}"
  if [ "$COMP_CWORD" -le "$at" ]; then
    choices=${quoted(wordsOf(firstWords(commands)))}
  else
    case "$command" in
${groupCases(commands)}
    esac
  fi
  if [ -z "$choices" ]; then
    case "$command $prev" in
${commands.flatMap(valueCases).join('\n')}
      *)
        case "$command" in
${commands.map(flagCase).join('\n')}
        esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$choices" -- "$cur"))
}
complete -o bashdefault -o default -F _qflare qflare
`
}

function groupCases(commands: readonly Completable[]): string {
  return groups(commands)
    .map(
      ({ group, members }) => `      ${quoted(group)})
        if [ "$COMP_CWORD" -eq $((at + 1)) ]; then choices=${quoted(wordsOf(members))}
        else command="$command \${COMP_WORDS[at+1]}"; fi ;;`,
    )
    .join('\n')
}

/** A flag that takes a value: its choices, or none, so that file names are offered. */
function valueCases(command: Completable): string[] {
  return allFlags(command).flatMap(({ name, flag }) => {
    if (flag.type === 'boolean') return []
    return `      ${quoted(`${command.name} --${name}`)}) choices=${quoted((flag.choices ?? []).join(' '))} ;;`
  })
}

function flagCase(command: Completable): string {
  const flags = allFlags(command).map(({ name }) => `--${name}`)
  return `          ${quoted(command.name)}) choices=${quoted([...argumentChoices(command), ...flags].join(' '))} ;;`
}

function wordsOf(words: readonly Word[]): string {
  return words.map(({ word }) => word).join(' ')
}
