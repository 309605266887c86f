import type { Command } from './define-command.ts'

/** A command of the list: its code is loaded when it is called. */
export interface Entry {
  /** One or two words, as typed: `device revoke`. */
  name: string
  summary: string
  load(): Promise<Command>
}
