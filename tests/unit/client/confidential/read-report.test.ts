import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readProvider, readReport } from '../../../../client/confidential/read-report.ts'
import { openTsmReports, type TsmReports } from '../../../../client/confidential/tsm-reports.ts'
import { createTsmKernel, systemError, type TestMachine, type TsmKernel } from '../../../support/tsm/kernel.ts'
import { memoryReports } from '../../../support/tsm/memory-reports.ts'
import { type MountedReports, mountReports, whyNoMount } from '../../../support/tsm/mount-reports.ts'

const inblob = Buffer.alloc(64, 0xb1)

/** A machine whose report says what it was asked. */
const echo = (more: Partial<TestMachine> = {}): TestMachine => ({
  provider: 'sev_guest',
  report: (asked) => ({ outblob: Buffer.concat([Buffer.of(asked.privlevel), asked.inblob]), auxblob: Buffer.of(1, 2) }),
  ...more,
})

/** The same guarantees over a kernel in memory and over one behind a real file system. */
function describeReports(open: (kernel: TsmKernel) => Promise<TsmReports>): void {
  let kernel: TsmKernel
  async function over(more: Partial<TestMachine> = {}): Promise<TsmReports> {
    kernel = createTsmKernel(echo(more))
    return open(kernel)
  }
  afterEach(() => expect(kernel.names(), 'what is left behind').toEqual([]))

  it('gives what machine and host say over the bytes that were asked', async () => {
    expect(await readReport(await over(), inblob)).toEqual({
      provider: 'sev_guest',
      outblob: new Uint8Array([0, ...inblob]),
      auxblob: new Uint8Array([1, 2]),
    })
  })

  it('needs nothing of a host, and no attribute that a kernel has not', async () => {
    expect(await readReport(await over({ provider: 'tdx_guest' }), inblob)).toEqual({
      provider: 'tdx_guest',
      outblob: new Uint8Array([0, ...inblob]),
      auxblob: new Uint8Array(),
    })
    const empty = await over({ report: () => ({ outblob: inblob }) })
    expect((await readReport(empty, inblob)).auxblob).toEqual(new Uint8Array())
  })

  it('asks at the level below a paravisor that it has', async () => {
    const { outblob } = await readReport(await over({ privlevelFloor: 2 }), inblob)
    expect(outblob[0]).toBe(2)
  })

  it('says who makes reports, without one', async () => {
    const noReport = () => {
      throw new Error('a report')
    }
    expect(await readProvider(await over({ provider: 'tdx_guest', report: noReport }))).toBe('tdx_guest')
  })

  it.each(['outblob', 'auxblob', 'provider', 'generation'])(
    'starts again where something else wrote before it read %s, and never gives what was made of that',
    async (place) => {
      let writes = 0
      const reports = await over({
        meanwhile(attribute, write) {
          if (attribute === place && ++writes <= 2) write('inblob', Buffer.alloc(64, 0xee))
        },
      })
      expect((await readReport(reports, inblob)).outblob).toEqual(new Uint8Array([0, ...inblob]))
    },
  )

  it('gives up where that goes on', async () => {
    const reports = await over({
      meanwhile: (attribute, write) => attribute === 'outblob' && write('inblob', Buffer.alloc(64, 0xee)),
    })
    await expect(readReport(reports, inblob)).rejects.toMatchObject({
      code: 'report_unavailable',
      message: expect.stringContaining('something else writes to its reports'),
    })
  })

  it('are made several at a time', async () => {
    const reports = await over()
    const all = Array.from({ length: 8 }, (_, index) => readReport(reports, Buffer.alloc(64, index)))
    expect((await Promise.all(all)).map(({ outblob }) => outblob[64])).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it.each([
    ['EBUSY', /busy with the report before/],
    ['ETIMEDOUT', /did not make the report in time/],
    ['EIO', /^The machine gives no report\. \(EIO/],
  ])('say why there is none: %s', async (code, message) => {
    const reports = await over({
      report() {
        throw systemError(code)
      },
    })
    await expect(readReport(reports, inblob)).rejects.toMatchObject({
      code: 'report_unavailable',
      message: expect.stringMatching(message),
    })
  })

  it('say that no module is loaded', async () => {
    await expect(readProvider(await over({ provider: undefined }))).rejects.toMatchObject({
      code: 'report_unavailable',
      message: expect.stringMatching(/^Nothing makes reports on this machine.*modprobe sev-guest/),
    })
  })

  it('say that the kernel does not take what is asked', async () => {
    await expect(readReport(await over(), Buffer.alloc(63))).rejects.toMatchObject({ code: 'report_unavailable' })
    await expect(readReport(await over(), Buffer.alloc(65))).rejects.toMatchObject({ code: 'report_unavailable' })
  })
}

describe('reports of a kernel', () => describeReports(async (kernel) => memoryReports(kernel)))

describe.skipIf(whyNoMount() !== undefined)(`reports of a kernel, mounted (${whyNoMount() ?? 'FUSE'})`, () => {
  const mounted: MountedReports[] = []
  describeReports(async (kernel) => {
    const one = await mountReports(kernel)
    mounted.push(one)
    return openTsmReports(one.folder)
  })
  afterEach(async () => {
    for (const one of mounted.splice(0)) await one.unmount()
  })
})

describe('a folder of reports', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'qflare-reports-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('that is not there is no confidential machine', async () => {
    await expect(readProvider(openTsmReports(join(folder, 'none')))).rejects.toMatchObject({
      code: 'report_unavailable',
      message: expect.stringMatching(/no confidential virtual machine.*older than 6\.7.*mount -t configfs.*modprobe/),
    })
  })

  it('that is not of a kernel is not used, and nothing stays in it', async () => {
    await expect(readReport(openTsmReports(folder), inblob)).rejects.toMatchObject({
      code: 'report_unavailable',
      message: "The folder of reports is not the kernel's: a report has no generation.",
    })
    expect(await readdir(folder)).toEqual([])
    await expect(openTsmReports(folder).write('.', 'inblob', inblob)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(folder)).toEqual([])
  })

  it('is read up to what a kernel can say', async () => {
    await writeFile(join(folder, 'outblob'), new Uint8Array(256 * 1024))
    expect((await openTsmReports(folder).read('.', 'outblob'))?.length).toBe(256 * 1024)
    await writeFile(join(folder, 'outblob'), new Uint8Array(256 * 1024 + 1))
    await expect(openTsmReports(folder).read('.', 'outblob')).rejects.toThrow('longer than')
  })
})
