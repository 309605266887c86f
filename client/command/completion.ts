import { bashScript } from './completion-bash.ts'
import { fishScript } from './completion-fish.ts'
import type { Completable } from './completion-words.ts'
import { zshScript } from './completion-zsh.ts'
import { defineCommand } from './define-command.ts'
import type { Entry } from './entry.ts'
import { usageError } from './exit-codes.ts'
import { findNearest } from './find-nearest.ts'
import { printResult } from './print.ts'

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const
const shells = Object.keys(scripts) as (keyof typeof scripts)[]

/** The command that prints the completion of `entries`, itself among them. */
export function completionEntry(entries: readonly Entry[]): Entry {
  const own: Entry = {
    name: 'completion',
    summary: 'completion of commands and flags for bash, zsh and fish',
    load: async () => completionCommand([...entries, own]),
  }
  return own
}

function completionCommand(entries: readonly Entry[]) {
  return defineCommand({
    name: 'completion',
    positionals: [shells.join('|')],
    summary: 'Prints a script that completes commands, flags and their values in your shell.',
    flags: {},
    isLocal: true,
    examples: [
      'source <(qflare completion bash)                              # bash: a line for ~/.bashrc',
      'source <(qflare completion zsh)                               # zsh: a line for ~/.zshrc, after compinit',
      'qflare completion fish > ~/.config/fish/completions/qflare.fish',
    ],
    notes: `In a checkout, where the command is \`npx --no qflare\`, give it a short name first: the completion belongs to the name.
  qflare() { npx --no qflare "$@"; }               # bash, zsh
  function qflare; npx --no qflare $argv; end      # fish`,
    async run({ values, positionals: [typed = ''] }) {
      const shell = shells.find((known) => known === typed)
      if (shell === undefined) {
        const nearest = findNearest(typed, shells)
        const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`
        throw usageError(`The shell is one of ${shells.join(', ')}.${hint}`)
      }
      const commands = entries.map(async (entry): Promise<Completable> => {
        const { description } = await entry.load()
        return { ...description, summary: entry.summary }
      })
      const script = scripts[shell](await Promise.all(commands))
      await printResult(values.json, { shell, script }, script.trimEnd())
      return undefined
    },
  })
}
