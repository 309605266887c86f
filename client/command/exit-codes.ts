export const exitCodes = {
  ok: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  localState: 4,
  /** Of `audit forgotten` alone. */
  notDestroyed: 5,
  unknownKey: 6,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export const exitCodesHelp = `Exit codes:
  0  done
  1  refused: by the server, or the server's answer by this device
  2  the command line is wrong
  3  no QFLARE server answers there
  4  the state of the device, a token file or stdout is missing or cannot be used`

/** What the command finds wrong before it asks a server. `code` is for programs. */
export class CommandError extends Error {
  readonly exitCode: ExitCode
  readonly code: string

  constructor(exitCode: ExitCode, message: string, code = exitCode === exitCodes.usage ? 'usage' : 'local_state') {
    super(message)
    this.name = 'CommandError'
    this.exitCode = exitCode
    this.code = code
  }
}

export function usageError(message: string): CommandError {
  return new CommandError(exitCodes.usage, message)
}
