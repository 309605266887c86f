import type { Client } from 'pg'
import { type ExchangeLoad, startExchangeLoad } from '../exchange/measure-exchange.ts'
import { type BenchService, startBenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { measureLookups } from './measure-lookups.ts'
import { pickDevices, registerDevices } from './register-devices.ts'

/** The p99 of a window of this many exchanges at each size; their median is what is compared. */
const WINDOWS = 5
const LOOKUPS = 300

interface ScaleOptions {
  sizes: readonly number[]
  scaleExchanges: number
  wants: (part: 'lookups' | 'scale') => boolean
}

/** One service that more and more devices are registered with; at each number look-ups, exchanges, or both. */
export async function reportScale(
  options: ScaleOptions,
  progress: (message: string) => void,
  noteService: (service: BenchService) => Promise<void>,
): Promise<Figure[]> {
  const service = await startBenchService()
  try {
    await noteService(service)
    const load = await startExchangeLoad(service)
    const database = await service.connectDatabase()
    try {
      return await measureSizes({ service, load, database }, options, progress)
    } finally {
      await database.end()
      load.stop()
    }
  } finally {
    await service.stop()
  }
}

async function measureSizes(
  { service, load, database }: { service: BenchService; load: ExchangeLoad; database: Client },
  options: ScaleOptions,
  progress: (message: string) => void,
): Promise<Figure[]> {
  const figures: Figure[] = []
  let base: number[] | undefined
  let registered = 0
  for (const size of options.sizes) {
    progress(`scale: registering ${size} devices`)
    await registerDevices(database, registered + 1, size)
    registered = size
    // The access token of the device that asks for itself lives for five minutes only.
    await load.measure(100)
    if (options.wants('lookups')) {
      progress(`lookups: ${size} devices`)
      const devices = await pickDevices(database, LOOKUPS)
      figures.push(...(await measureLookups({ ...service, devices, own: load.device() }, size)))
    }
    if (options.wants('scale')) {
      progress(`scale: exchanges at ${size} devices`)
      const p99s = await measureP99s(load, options.scaleExchanges)
      base ??= p99s
      figures.push(...toFigures(p99s, base, size, options.sizes[0] as number))
    }
  }
  return figures
}

async function measureP99s(load: ExchangeLoad, exchanges: number): Promise<number[]> {
  const p99s: number[] = []
  for (let window = 0; window < WINDOWS; window++) {
    p99s.push((await load.measure(Math.ceil(exchanges / WINDOWS))).p99Ms)
  }
  return p99s
}

function toFigures(p99s: readonly number[], base: readonly number[], size: number, baseSize: number): Figure[] {
  const of = (name: string, unit: Figure['unit']) => ({ part: 'scale', name: `${name}, ${size} devices`, unit })
  const ratios = p99s.map((p99, i) => p99 / (base[i] as number))
  return [
    summarize(of('exchange, p99', 'ms'), p99s),
    ...(size === baseSize ? [] : [summarize(of(`exchange, p99 to that at ${baseSize}`, 'ratio'), ratios)]),
  ]
}
