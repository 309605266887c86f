import { parseArgs } from 'node:util'
import { usageError } from './exit-codes.ts'
import { findNearest } from './find-nearest.ts'

interface BooleanFlag {
  type: 'boolean'
  short?: string
  help: string
}

interface TextFlag {
  type: 'string'
  /** What stands for the value in the help: `FILE`. */
  value: string
  /** What it does, with unit and limits; choices and default are added. */
  help: string
  default?: string
  /** The only values, as the server writes them; any case is taken. */
  choices?: readonly string[]
  /** May be given several times. */
  multiple?: true
  /** Undefined: not a value of this flag. */
  parse?: (text: string) => unknown
  /** Of `parse`, for the error: `--ttl is …`. */
  expects?: string
}

/** A secret is never a flag's value: other users of a machine see those. */
export type Flag = BooleanFlag | TextFlag
export type Flags = Record<string, Flag>

const serverFlags = {
  url: {
    type: 'string',
    value: 'URL',
    help: 'the server (or QFLARE_URL; default: where the device enrolled, otherwise http://127.0.0.1:8470)',
  },
  'insecure-http': {
    type: 'boolean',
    help: 'allow http:// to another machine: tokens then cross the network in clear',
  },
} as const satisfies Flags

const everyFlags = {
  json: { type: 'boolean', help: 'one JSON value on stdout, and errors as JSON on stderr' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies Flags

type One<F> = F extends { type: 'boolean' }
  ? boolean
  : F extends { parse: (text: string) => infer T }
    ? Exclude<T, undefined>
    : F extends { choices: readonly (infer C)[] }
      ? C
      : string
type Value<F> = F extends { multiple: true } ? One<F>[] : One<F>
type ValuesOf<O> = { [K in keyof O]: O[K] extends { default: string } ? Value<O[K]> : Value<O[K]> | undefined }
export type Values<O extends Flags> = ValuesOf<O & typeof serverFlags & typeof everyFlags>

/** With those that every command has. `isLocal`: it asks no server. */
export function withCommonFlags(flags: Flags, isLocal: boolean | undefined): Flags {
  return { ...flags, ...(isLocal === true ? {} : serverFlags), ...everyFlags }
}

/** What was typed, checked. Messages do not repeat values: one may be a token that went astray. Exit code 2. */
export function parseFlags<O extends Flags>(
  flags: O,
  args: string[],
  options: { isLocal?: boolean | undefined } = {},
): { values: Values<O>; positionals: readonly string[] } {
  const all = withCommonFlags(flags, options.isLocal)
  const parsed = parse(all, args)
  const values: Record<string, unknown> = {}
  for (const [name, flag] of Object.entries(all)) {
    const given = parsed.values[name]
    if (flag.type === 'boolean' || given === undefined) values[name] = given
    else if (Array.isArray(given)) values[name] = given.map((text) => parseValue(name, flag, String(text)))
    else values[name] = parseValue(name, flag, String(given))
  }
  return { values: values as Values<O>, positionals: parsed.positionals }
}

function parseValue(name: string, flag: TextFlag, text: string): unknown {
  if (flag.choices !== undefined) {
    const choice = flag.choices.find((known) => known.toLowerCase() === text.toLowerCase())
    if (choice === undefined) throw usageError(`--${name} is one of ${flag.choices.join(', ')}.`)
    return choice
  }
  if (flag.parse === undefined) return text
  const value = flag.parse(text)
  if (value === undefined) throw usageError(`--${name} is ${flag.expects ?? flag.value}.`)
  return value
}

function parse(options: Flags, args: string[]) {
  try {
    return parseArgs({ args: joinDashedValues(options, args), options, allowPositionals: true })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const unknown = /^Unknown option '-+([\w-]+)'/.exec(message)?.[1]
    if (unknown === undefined) throw usageError(`${firstSentence(message)}. --help lists the flags.`)
    const nearest = findNearest(unknown, Object.keys(options))
    const hint = nearest === undefined ? '--help lists the flags.' : `Did you mean --${nearest}?`
    throw usageError(`There is no flag --${unknown} here. ${hint}`)
  }
}

/** One in 64 key ids begins with a dash: behind a flag that takes a value it is that value, and no flag. */
function joinDashedValues(options: Flags, args: readonly string[]): string[] {
  const shorts = Object.values(options).flatMap((flag) =>
    'short' in flag && flag.short !== undefined ? [`-${flag.short}`] : [],
  )
  const joined: string[] = []
  for (const arg of args) {
    const last = joined.at(-1)
    const isValue = /^-[^-]/.test(arg) && !shorts.includes(arg)
    if (isValue && last?.startsWith('--') === true && options[last.slice(2)]?.type === 'string')
      joined.push(`${joined.pop()}=${arg}`)
    else joined.push(arg)
  }
  return joined
}

function firstSentence(message: string): string {
  return (message.split(/\. |\n/)[0] ?? '').replace(/\.$/, '')
}
