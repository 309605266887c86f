import type { Reporter, TestModule } from 'vitest/node'

/** More than the four seconds of tests/slow-files.ts: a machine that is busy must not make a list of everything. */
const SLOW_MS = 12_000

/** Says at the end which files that `npm test` runs took so long that they belong into tests/slow-files.ts. */
// oxlint-disable-next-line import/no-default-export -- how vitest finds a reporter
export default class ReportSlowFiles implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      const { duration } = module.diagnostic()
      if (duration > SLOW_MS) console.log(`took ${Math.round(duration / 1000)} s: ${module.relativeModuleId}`)
    }
  }
}
