import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { ByteSearch } from './byte-search.ts'

const CHUNK_BYTES = 4 << 20

/** Why the kernel does not let us read the memory of a process; undefined where it does. */
export function whyUnreadable(processId: number): string | undefined {
  try {
    closeSync(openSync(`/proc/${processId}/mem`, 'r'))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Looks through all memory of a process that can be read, which stands still meanwhile. How many bytes that was. */
export function searchProcess(processId: number, search: ByteSearch): number {
  process.kill(processId, 'SIGSTOP')
  const memory = openSync(`/proc/${processId}/mem`, 'r')
  try {
    let total = 0
    for (const { start, end, name } of readableRegions(processId)) {
      search.cut(`${name} ${start.toString(16)}`)
      total += searchRegion(memory, start, end, search)
    }
    return total
  } finally {
    closeSync(memory)
    process.kill(processId, 'SIGCONT')
  }
}

function readableRegions(processId: number): { start: number; end: number; name: string }[] {
  const lines = readFileSync(`/proc/${processId}/maps`, 'utf8').split('\n')
  return lines.flatMap((line) => {
    const [, start = '', end = '', path = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw\S+ \S+ \S+ \S+\s*(.*)$/.exec(line) ?? []
    const isKernels = /^\[(vvar|vvar_vclock|vsyscall|vdso)\]$/.test(path)
    if (start === '' || isKernels) return []
    return [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), name: path === '' ? 'memory' : path }]
  })
}

function searchRegion(memory: number, start: number, end: number, search: ByteSearch): number {
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, end - start))
  let at = start
  while (at < end) {
    const read = readSome(memory, chunk, Math.min(chunk.length, end - at), at)
    if (read === 0) break
    search.push(chunk.subarray(0, read))
    at += read
  }
  return at - start
}

/** 0 for pages that are behind the end of their file. */
function readSome(memory: number, chunk: Buffer, length: number, at: number): number {
  try {
    return readSync(memory, chunk, 0, length, at)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'EFAULT')) return 0
    throw error
  }
}
