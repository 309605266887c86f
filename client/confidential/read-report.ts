import { randomUUID } from 'node:crypto'
import { QflareError } from '../errors.ts'
import { toReportError } from './report-errors.ts'
import type { TsmReports } from './tsm-reports.ts'

/** What a kernel answers about the machine that it runs on. */
export interface TsmReport {
  /** Who made it, as the kernel names its modules: `sev_guest`, `tdx_guest`. */
  provider: string
  outblob: Uint8Array
  /** What the host adds, nothing for some: nobody vouches for it. */
  auxblob: Uint8Array
}

const MAX_TRIES = 3

/** A report over 64 bytes. Throws `report_unavailable`. */
export async function readReport(reports: TsmReports, inblob: Uint8Array): Promise<TsmReport> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const report = await withItem(reports, (item) => readOnce(item, inblob))
    if (report !== undefined) return report
  }
  throw new QflareError(
    'report_unavailable',
    'The kernel takes what is asked of it in another way than it was asked: something else writes to its reports.',
  )
}

/** Which of them this machine has, without a report. Throws `report_unavailable`. */
export function readProvider(reports: TsmReports): Promise<string> {
  return withItem(reports, readProviderOf)
}

interface Item {
  write(attribute: string, bytes: Uint8Array): Promise<void>
  find(attribute: string): Promise<Uint8Array | undefined>
}

/** A folder of its own, which nobody else knows and which goes however this ends. */
async function withItem<T>(reports: TsmReports, work: (item: Item) => Promise<T>): Promise<T> {
  const name = `qflare-${randomUUID()}`
  try {
    await reports.make(name)
    try {
      return await work({
        write: (attribute, bytes) => reports.write(name, attribute, bytes),
        find: (attribute) => reports.read(name, attribute),
      })
    } finally {
      await reports.remove(name)
    }
  } catch (error) {
    throw toReportError(error)
  }
}

/** Undefined where something else was written in between: what came may be of other bytes. */
async function readOnce(item: Item, inblob: Uint8Array): Promise<TsmReport | undefined> {
  const before = await readNumber(item, 'generation')
  let writes = 0
  const write = async (attribute: string, bytes: Uint8Array) => {
    await item.write(attribute, bytes)
    writes++
  }
  // A kernel below a paravisor gets no report of the level above its own.
  const floor = (await item.find('privlevel_floor')) === undefined ? 0 : await readNumber(item, 'privlevel_floor')
  if (floor > 0) await write('privlevel', Buffer.from(String(floor)))
  await write('inblob', inblob)
  const outblob = await read(item, 'outblob')
  const auxblob = (await item.find('auxblob')) ?? new Uint8Array()
  const provider = await readProviderOf(item)
  const after = await readNumber(item, 'generation')
  return after === before + writes ? { provider, outblob, auxblob } : undefined
}

async function readProviderOf(item: Item): Promise<string> {
  return readText(item, 'provider')
}

async function readNumber(item: Item, attribute: string): Promise<number> {
  const text = await readText(item, attribute)
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new QflareError('report_unavailable', `What the kernel says of ${attribute} is no number.`)
}

async function readText(item: Item, attribute: string): Promise<string> {
  return Buffer.from(await read(item, attribute))
    .toString('latin1')
    .trim()
}

async function read(item: Item, attribute: string): Promise<Uint8Array> {
  const bytes = await item.find(attribute)
  if (bytes !== undefined) return bytes
  throw new QflareError(
    'report_unavailable',
    `The folder of reports is not the kernel's: a report has no ${attribute}.`,
  )
}
