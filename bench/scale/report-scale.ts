import type { Client } from 'pg'
import { type ExchangeLoad, startExchangeLoad } from '../exchange/measure-exchange.ts'
import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { measureLookups } from './measure-lookups.ts'
import { pickDevices, registerDevices } from './register-devices.ts'

/** In which the exchanges at one number of devices are measured, each beside one of the reference. */
const WINDOWS = 10
const LOOKUPS = 300

export interface ScaleOptions {
  /** Registered devices, ascending; the first is the reference. */
  sizes: readonly number[]
  scaleExchanges: number
  wants: (part: 'lookups' | 'scale') => boolean
}

interface Fleet extends AsyncDisposable {
  service: BenchService
  load: ExchangeLoad
  database: Client
}

/**
 * One service that more and more devices are registered with; at each number look-ups, exchanges, or both. A second service
 * keeps the first number: the two exchange turn by turn, so that both meet the same machine.
 */
export async function reportScale(
  options: ScaleOptions,
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  const [baseSize = 1, ...largerSizes] = options.sizes
  const figures: Figure[] = []
  await using growing = await startFleet(baseSize, progress)
  await noteService(growing.service)
  figures.push(...(await measureSize(growing, baseSize, options, progress)))
  if (largerSizes.length === 0) return figures

  await using reference = await startFleet(baseSize, progress)
  let registered = baseSize
  for (const size of largerSizes) {
    progress(`scale: registering ${size} devices`)
    await registerDevices(growing.database, registered + 1, size)
    registered = size
    figures.push(...(await measureSize(growing, size, options, progress)))
    if (options.wants('scale')) {
      const name = `exchange, p99 to that at ${baseSize}, ${size} devices`
      figures.push(
        summarize(
          { part: 'scale', name, unit: 'ratio' },
          await compareP99s(growing, reference, options.scaleExchanges),
        ),
      )
    }
  }
  return figures
}

async function startFleet(size: number, progress: (message: string) => void): Promise<Fleet> {
  progress(`scale: a service with ${size} devices`)
  await using started = new AsyncDisposableStack()
  const service = await startBenchService()
  started.defer(() => service.stop())
  const load = await startExchangeLoad(service)
  started.defer(() => load.stop())
  const database = await service.connectDatabase()
  started.defer(() => database.end())
  await registerDevices(database, 1, size)
  const owned = started.move()
  return { service, load, database, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function measureSize(
  { service, load, database }: Fleet,
  size: number,
  { wants, scaleExchanges }: ScaleOptions,
  progress: (message: string) => void,
): Promise<Figure[]> {
  const figures: Figure[] = []
  if (wants('lookups')) {
    progress(`lookups: ${size} devices`)
    // The access token of the device that asks for itself lives for five minutes only.
    await load.measure(100)
    const devices = await pickDevices(database, LOOKUPS)
    figures.push(...(await measureLookups({ ...service, devices, own: load.device() }, size)))
  }
  if (wants('scale')) {
    progress(`scale: exchanges at ${size} devices`)
    const { p50Ms, p99Ms } = await load.measure(scaleExchanges)
    const of = (name: string) => ({ part: 'scale', name: `${name}, ${size} devices`, unit: 'ms' as const })
    figures.push(summarize(of('exchange, p50'), [p50Ms]), summarize(of('exchange, p99'), [p99Ms]))
  }
  return figures
}

/** Ratios of the p99s of windows that follow each other; the halves of a pair change places each time. */
async function compareP99s(growing: Fleet, reference: Fleet, exchanges: number): Promise<number[]> {
  const size = Math.ceil(exchanges / WINDOWS)
  const ratios: number[] = []
  for (let window = 0; window < WINDOWS; window++) {
    const p99Of = async ({ load }: Fleet) => (await load.measure(size)).p99Ms
    if (window % 2 === 0) {
      const measured = await p99Of(growing)
      ratios.push(measured / (await p99Of(reference)))
    } else {
      const referred = await p99Of(reference)
      ratios.push((await p99Of(growing)) / referred)
    }
  }
  return ratios
}
