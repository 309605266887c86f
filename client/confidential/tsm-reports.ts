import { constants } from 'node:fs'
import { mkdir, open, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readAtMost } from '../read-at-most.ts'

/** From Linux 6.7 on, for root (Documentation/ABI/testing/configfs-tsm-report). */
export const TSM_REPORTS_FOLDER = '/sys/kernel/config/tsm/report'

/** A quote of TDX may have 128 KiB, certificates of a host 16 KiB; a kernel gives more of nothing. */
const MAX_ATTRIBUTE_BYTES = 256 * 1024

/** Reports of configfs-tsm, each a folder with attributes. All reject as `node:fs/promises` does, with the `code` of what the kernel said. */
export interface TsmReports {
  make(name: string): Promise<void>
  remove(name: string): Promise<void>
  /** What a kernel has against the bytes, it does not say: it looks at them when the file is closed. `generation` shows whether it took them. */
  write(name: string, attribute: string, bytes: Uint8Array): Promise<void>
  /** Undefined where this kernel has no such attribute. */
  read(name: string, attribute: string): Promise<Uint8Array | undefined>
}

export function openTsmReports(folder: string): TsmReports {
  return {
    async make(name) {
      await mkdir(join(folder, name))
    },
    // The attributes go with it.
    remove: (name) => rmdir(join(folder, name)),
    async write(name, attribute, bytes) {
      // Nothing is created or cut off: where there is no such attribute, this is no folder of the kernel.
      const file = await open(join(folder, name, attribute), constants.O_WRONLY)
      try {
        await file.write(bytes)
      } finally {
        await file.close()
      }
    },
    async read(name, attribute) {
      try {
        return await readAtMost(join(folder, name, attribute), MAX_ATTRIBUTE_BYTES)
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      }
    },
  }
}
