import { statfs } from 'node:fs/promises'
import { formatBytes } from '../format-bytes.ts'
import { type Finding, findingsOf } from './finding.ts'

const LOW_BYTES = 1 << 30
const TOO_LOW_BYTES = 100 << 20

/** PostgreSQL stops when its disk is full, and so does everything. Room on the disk of a folder, which is there. */
export async function examineDisk(part: string, folder: string): Promise<Finding> {
  const { ok, warning, problem } = findingsOf(part)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const room = `${formatBytes(free)} are free on the disk of ${folder}`
  if (free < TOO_LOW_BYTES) return problem(room, 'Make room: PostgreSQL stops when nothing is left.')
  return free < LOW_BYTES ? warning(room, 'Make room before it is full.') : ok(room)
}
