import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..')

/** Paths from the root of what git tracks or would track: a file that is not committed yet counts, a removed one does not. */
export function listFiles(): string[] {
  // As root in a clone that belongs to another user git refuses to work, unless told that the folder is trusted.
  const output = execFileSync(
    'git',
    ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: root, encoding: 'utf8' },
  )
  return [...new Set(output.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path))).sort()
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
