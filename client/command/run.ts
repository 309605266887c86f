import { readFile } from 'node:fs/promises'
import type { Command } from './define-command.ts'
import { type ExitCode, exitCodes, exitCodesHelp, usageError } from './exit-codes.ts'
import { reportError } from './report-error.ts'

interface Entry {
  name: string
  summary: string
  load(): Promise<Command>
}

const entries: readonly Entry[] = [
  {
    name: 'token create',
    summary: 'operator: make an enrolment token',
    load: async () => (await import('./token-create.ts')).tokenCreate,
  },
  {
    name: 'enroll',
    summary: 'make this a device, with an enrolment token',
    load: async () => (await import('./enroll.ts')).enroll,
  },
  {
    name: 'exchange',
    summary: 'agree on new keys with the server',
    load: async () => (await import('./exchange.ts')).exchange,
  },
  { name: 'key', summary: 'a key of the session', load: async () => (await import('./key.ts')).key },
  {
    name: 'status',
    summary: 'the device, its session and the server',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'device list',
    summary: 'operator: the devices of the organization',
    load: async () => (await import('./device-list.ts')).deviceList,
  },
  {
    name: 'device revoke',
    summary: 'operator: end a device and its sessions, for good',
    load: async () => (await import('./device-revoke.ts')).deviceRevoke,
  },
]

/** Runs the command that `args` name, the program's name not among them. Never throws: every error is a line on stderr. */
export async function runCommandLine(args: string[]): Promise<ExitCode> {
  try {
    return await dispatch(args)
  } catch (error) {
    return reportError(error, args.includes('--json'))
  }
}

async function dispatch(args: string[]): Promise<ExitCode> {
  const entry = entries.find(({ name }) => name.split(' ').every((word, i) => args[i] === word))
  if (entry !== undefined) {
    const command = await entry.load()
    return command.run(args.slice(entry.name.split(' ').length))
  }
  // As words too: `npx --no qflare --version` is npm's version.
  if (args[0] === '--version' || args[0] === 'version') {
    console.log(await readVersion())
    return exitCodes.ok
  }
  if (args[0] === 'help' || args.includes('--help')) {
    console.log(overview())
    return exitCodes.ok
  }
  throw usageError(
    args.length === 0
      ? 'Which command? qflare --help lists them.'
      : 'There is no such command: qflare --help lists them.',
  )
}

function overview(): string {
  const width = Math.max(...entries.map(({ name }) => name.length))
  const commands = entries.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return `qflare COMMAND [flags]

Commands (each has --help):
${commands.join('\n')}

Flags follow the command. version prints the version. No flag takes a secret: tokens come
from files, from the environment or from stdin.

${exitCodesHelp}`
}

async function readVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
