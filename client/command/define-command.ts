import { type ExitCode, exitCodes, usageError } from './exit-codes.ts'
import { type Flags, parseFlags, type Values } from './flags.ts'

/** What the help and the completion of shells are made from. */
export interface CommandDescription {
  /** One or two words, as typed: `device revoke`. */
  name: string
  /** The arguments beside flags, in order: `ID`. */
  positionals?: readonly string[]
  /** What it does, in a sentence. */
  summary: string
  flags: Flags
  /** It asks no server: it has neither `--url` nor `--insecure-http`. */
  isLocal?: true
  /** As typed, `qflare` included. */
  examples: readonly string[]
  notes?: string
  /** Where an exit code means more than usual. */
  exitNotes?: string
}

export interface Command {
  readonly description: CommandDescription
  /** Does its work. Throws what went wrong. */
  run(args: string[]): Promise<ExitCode>
}

/** A command: its flags, its help, and what it does. Undefined of `run` is exit code 0. */
export function defineCommand<const O extends Flags>(
  definition: Omit<CommandDescription, 'flags'> & {
    flags: O
    run(call: { values: Values<O>; positionals: readonly string[] }): Promise<ExitCode | undefined>
  },
): Command {
  const { flags, name, positionals: wanted = [] } = definition
  return {
    description: definition,
    async run(args) {
      const { values, positionals } = parseFlags(flags, args, definition)
      if (positionals.length !== wanted.length) {
        // What was given is not repeated: it may be a token.
        const counted = wanted.length === 1 ? '1 argument' : `${wanted.length} arguments`
        const takes = wanted.length === 0 ? 'no arguments beside flags' : `${counted} beside flags`
        throw usageError(`Takes ${takes}: ${['qflare', name, ...wanted].join(' ')}.`)
      }
      return (await definition.run({ values, positionals })) ?? exitCodes.ok
    },
  }
}
