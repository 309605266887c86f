import { type Command, type CommandDescription, defineCommand } from '../client/command/define-command.ts'
import type { ExitCode } from '../client/command/exit-codes.ts'
import type { Flags, Values } from '../client/command/flags.ts'
import { type Config, loadConfig } from '../runtime/config.ts'
import { toCommandError } from './operation-error.ts'

export type Environment = Record<string, string | undefined>

export const dataDirectoryFlag = {
  'data-dir': { type: 'string', value: 'FOLDER', help: 'the data folder (or QFLARE_DATA_DIR; default: .qflare)' },
} as const satisfies Flags

export const environmentNotes =
  'Works on this machine, without the API, with the settings of the service: run it as the user, in the folder and with the environment that the service has.'

/** A command that works on the machine itself; what its parts refuse is a line with what to do. */
export function defineOperation<const O extends Flags>(
  definition: Omit<CommandDescription, 'flags' | 'isLocal'> & {
    flags: O
    run(call: { values: Values<O>; positionals: readonly string[] }): Promise<ExitCode | undefined>
  },
): Command {
  return defineCommand({
    ...definition,
    isLocal: true,
    async run(call) {
      try {
        return await definition.run(call)
      } catch (error) {
        throw toCommandError(error)
      }
    },
  })
}

/** The environment with what flags put in its place. */
export function environmentOf(values: { 'data-dir'?: string | undefined }): Environment {
  const folder = values['data-dir']
  return folder === undefined ? { ...process.env } : { ...process.env, QFLARE_DATA_DIR: folder }
}

/** Throws ConfigError with every problem at once. */
export function configOf(values: { 'data-dir'?: string | undefined }): { env: Environment; config: Config } {
  const env = environmentOf(values)
  return { env, config: loadConfig(env) }
}
