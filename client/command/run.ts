import { readFile } from 'node:fs/promises'
import { completionEntry } from './completion.ts'
import { entries } from './entries.ts'
import type { Entry } from './entry.ts'
import { type ExitCode, exitCodes, usageError } from './exit-codes.ts'
import { findNearest } from './find-nearest.ts'
import { commandHelp, groupHelp, overview } from './help.ts'
import { reportError } from './report-error.ts'
import { printLine } from './stdout.ts'

export type { Entry } from './entry.ts'

/**
 * Runs the command that `args` name, the program's name not among them. Never throws: every error is a line on stderr.
 * `extra` are commands of the program that calls this: they stand behind ours in the help.
 */
export async function runCommandLine(args: string[], extra: readonly Entry[] = []): Promise<ExitCode> {
  try {
    const all: Entry[] = [...entries, ...extra]
    return await dispatch(args, [...all, completionEntry(all)])
  } catch (error) {
    return reportError(error, args.includes('--json'))
  }
}

async function dispatch(args: string[], all: readonly Entry[]): Promise<ExitCode> {
  // As a word too: `npx --no qflare --version` is npm's version.
  if (args[0] === '--version' || args[0] === 'version') return say(await readVersion())
  const wantsHelp = args[0] === 'help' || args.some((arg) => arg === '--help' || arg === '-h')
  const words = args.filter((arg, index) => !(index === 0 && arg === 'help') && arg !== '--help' && arg !== '-h')

  const entry = all.find(({ name }) => name.split(' ').every((word, index) => words[index] === word))
  if (entry !== undefined) {
    const command = await entry.load()
    return wantsHelp ? say(commandHelp(command.description)) : command.run(words.slice(entry.name.split(' ').length))
  }
  const [first = ''] = words
  const members = all.filter(({ name }) => name.startsWith(`${first} `))
  if (wantsHelp && words.length === 0) return say(overview(all))
  if (wantsHelp && words.length === 1 && members.length > 0) return say(groupHelp(first, members))
  throw usageError(noSuchCommand(words, members, all))
}

/** What was typed is not repeated: it may be a token. */
function noSuchCommand(words: readonly string[], members: readonly Entry[], all: readonly Entry[]): string {
  const [first] = words
  if (first === undefined) return 'Which command? qflare help lists them.'
  if (first.startsWith('-')) return 'The command comes first, its flags follow: qflare help lists the commands.'
  if (members.length > 0 && words.length === 1) {
    const choices = members.map(({ name }) => name.slice(first.length + 1)).join(', ')
    return `Which ${first} command? ${choices}; qflare help ${first} says what they do.`
  }
  const nearest =
    findNearest(
      words.slice(0, 2).join(' '),
      all.map(({ name }) => name),
    ) ?? findNearest(first, [...new Set(all.map(({ name }) => name.split(' ')[0] ?? ''))])
  const hint = nearest === undefined ? 'qflare help lists them.' : `Did you mean qflare ${nearest}?`
  return `There is no such command. ${hint}`
}

async function say(text: string): Promise<ExitCode> {
  await printLine(text)
  return exitCodes.ok
}

async function readVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
