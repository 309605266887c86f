import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian's place for some is in the PATH of root alone. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']

/** Where this machine has it; undefined: nowhere. */
export function findProgram(name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
