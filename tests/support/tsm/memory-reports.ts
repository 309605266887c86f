import type { TsmReports } from '../../../client/confidential/tsm-reports.ts'
import type { TsmKernel } from './kernel.ts'

/** The reports of a test's kernel, without a file system between. */
export function memoryReports(kernel: TsmKernel): TsmReports {
  return {
    make: async (name) => kernel.make(name),
    remove: async (name) => kernel.remove(name),
    async write(name, attribute, bytes) {
      kernel.open(name, attribute, 'write')
      kernel.write(name, attribute, bytes)
    },
    async read(name, attribute) {
      if (!kernel.attributes().some((known) => known === attribute)) return undefined
      kernel.open(name, attribute, 'read')
      return Uint8Array.from(kernel.read(name, attribute))
    },
  }
}
