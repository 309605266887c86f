import type { CommandDescription } from './define-command.ts'
import { type Flag, withCommonFlags } from './flags.ts'

/** A command as a completion sees it; the summary is the short one of the list. */
export type Completable = Pick<CommandDescription, 'name' | 'summary' | 'flags' | 'positionals' | 'isLocal'>

export interface Word {
  word: string
  help: string
}

/** The first words of all commands, and `help` and `version`. */
export function firstWords(commands: readonly Completable[]): Word[] {
  const words = new Map<string, string>()
  for (const { name, summary } of commands) {
    const [first = '', second] = name.split(' ')
    const members = commands
      .filter((other) => other.name.startsWith(`${first} `))
      .map((other) => other.name.split(' ')[1])
    words.set(first, second === undefined ? summary : members.join(', '))
  }
  words.set('help', 'what the commands do')
  words.set('version', 'prints the version')
  return [...words].map(([word, help]) => ({ word, help }))
}

/** First words that need a second one, each with its second words. */
export function groups(commands: readonly Completable[]): { group: string; members: Word[] }[] {
  const two = commands.filter(({ name }) => name.includes(' '))
  return [...new Set(two.map(({ name }) => name.split(' ')[0] ?? ''))].map((group) => ({
    group,
    members: two
      .filter(({ name }) => name.startsWith(`${group} `))
      .map(({ name, summary }) => ({ word: name.slice(group.length + 1), help: summary })),
  }))
}

export function allFlags(command: Completable): { name: string; flag: Flag }[] {
  return Object.entries(withCommonFlags(command.flags, command.isLocal)).map(([name, flag]) => ({ name, flag }))
}

/** Of an argument that is one of a few words: `bash|zsh|fish`. */
export function argumentChoices({ positionals = [] }: Completable): string[] {
  return positionals.filter((name) => name.includes('|')).flatMap((name) => name.split('|'))
}

/** Whether its value is the name of a file or folder. */
export function takesPath(flag: Flag): boolean {
  return flag.type === 'string' && (flag.value === 'FILE' || flag.value === 'FOLDER')
}

/** Inside single quotes of a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
