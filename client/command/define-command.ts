import { type ParseArgsConfig, parseArgs } from 'node:util'
import { type ExitCode, exitCodes, exitCodesHelp, usageError } from './exit-codes.ts'

type Options = NonNullable<ParseArgsConfig['options']>

const globalOptions = {
  url: { type: 'string' },
  'insecure-http': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const satisfies Options

const globalHelp = `  --url URL         the server (or QFLARE_URL; default: where the device enrolled,
                    otherwise http://127.0.0.1:8470)
  --insecure-http   allow http:// to another machine: tokens then cross the network in clear
  --json            one JSON object on stdout, and errors as JSON on stderr
  --help            this text`

type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O & typeof globalOptions }>>['values']

export interface Command {
  /** Prints its help or does its work. Throws what went wrong. */
  run(args: string[]): Promise<ExitCode>
}

/** A command: its flags, its help, and what it does. A secret is never a flag's value: other users of a machine see those. */
export function defineCommand<const O extends Options>(definition: {
  /** As typed, with what follows: `device revoke ID`. */
  usage: string
  summary: string
  /** One line a flag, indented by two. */
  flags?: string
  notes?: string
  options: O
  /** How many arguments it takes beside flags. */
  positionals?: number
  run(call: { values: Values<O>; positionals: string[] }): Promise<ExitCode | undefined>
}): Command {
  const { options, positionals: wanted = 0 } = definition
  return {
    async run(args) {
      const parsed = parse({ ...globalOptions, ...options }, args)
      const values = parsed.values as Values<O>
      if ('help' in values && values.help === true) {
        console.log(helpOf(definition))
        return exitCodes.ok
      }
      if (parsed.positionals.length !== wanted) {
        // What was given is not repeated: it may be a token.
        throw usageError(
          `Takes ${wanted === 0 ? 'no arguments beside flags' : `${wanted} argument`}: qflare ${definition.usage}`,
        )
      }
      return (await definition.run({ values, positionals: parsed.positionals })) ?? exitCodes.ok
    },
  }
}

function parse(options: Options, args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('. ')
    throw usageError(`${line.replace(/\.$/, '')}. --help lists the flags.`)
  }
}

function helpOf(definition: { usage: string; summary: string; flags?: string; notes?: string }): string {
  const { usage, summary, flags, notes } = definition
  const lines = [flags, globalHelp].filter((part) => part !== undefined).join('\n')
  return [`qflare ${usage}`, summary, `Flags:\n${lines}`, notes, exitCodesHelp].filter(Boolean).join('\n\n')
}
