import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const GONE_WITHIN_MS = 10_000

/** Kills a postmaster that this run started, with every process of it, as a power cut would; resolves when all are gone. */
export async function killPostgres(postmaster: number): Promise<void> {
  const children = await listChildren(postmaster)
  // Its own first: nobody is to be told, and nobody to clean up.
  for (const processId of [postmaster, ...children]) kill(processId)
  const deadline = performance.now() + GONE_WITHIN_MS
  for (const processId of [postmaster, ...children]) {
    while (await isAlive(processId)) {
      if (performance.now() > deadline) throw new Error(`process ${processId} of PostgreSQL did not end`)
      await sleep(5)
    }
  }
}

function kill(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function listChildren(parent: number): Promise<number[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(ids.map(async (id) => ({ id, parent: (await readStat(id))?.parent })))
  return parents.filter((one) => one.parent === parent).map(({ id }) => id)
}

async function isAlive(processId: number): Promise<boolean> {
  const stat = await readStat(processId)
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X'
}

/** The name in parentheses may hold anything: what follows its end counts. */
async function readStat(processId: number): Promise<{ state: string; parent: number } | undefined> {
  const text = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => undefined)
  const [state = '', parent] = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? []
  return text === undefined ? undefined : { state, parent: Number(parent) }
}
