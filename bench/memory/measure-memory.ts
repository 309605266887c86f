import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startExchangeLoad } from '../exchange/measure-exchange.ts'
import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'

const PART = 'memory'
const MIB = 2 ** 20
/** Of the API process, whatever it has done. */
const TARGET_RSS_MIB = 250
/** Until compiled code, pools and caches have their size. */
const SETTLING_EXCHANGES = 2_000

/** The memory of the API before and after many exchanges, PostgreSQL's not with it: what grows with their number is a leak. */
export async function measureMemory(
  exchanges: number,
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  const service = await startBenchService(['--expose-gc', `--import=${new URL('probe.ts', import.meta.url).href}`])
  try {
    await noteService(service)
    progress(`memory: ${SETTLING_EXCHANGES} exchanges to settle`)
    const load = await startExchangeLoad(service)
    await load.measure(SETTLING_EXCHANGES)
    const before = await readMemory(service.process)
    progress(`memory: ${exchanges} exchanges`)
    await load.measure(exchanges)
    const after = await readMemory(service.process)
    load.stop()
    const one = (name: string, value: number, rest: Partial<Figure> = {}) =>
      summarize({ part: PART, name, unit: 'MiB', ...rest }, [value])
    return [
      one('RSS before', before.rssMiB),
      one('RSS after', after.rssMiB, { target: TARGET_RSS_MIB }),
      one('heap in use before', before.heapMiB),
      one('heap in use after', after.heapMiB),
      summarize({ part: PART, name: 'heap in use, after to before', unit: 'ratio' }, [after.heapMiB / before.heapMiB]),
    ]
  } finally {
    await service.stop()
  }
}

async function readMemory(api: ChildProcess): Promise<{ rssMiB: number; heapMiB: number }> {
  const answered = once(api, 'message')
  api.send('memory')
  const [{ rssBytes, heapBytes }] = (await answered) as [{ rssBytes: number; heapBytes: number }]
  return { rssMiB: rssBytes / MIB, heapMiB: heapBytes / MIB }
}
