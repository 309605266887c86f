import type { Reporter, TestCase } from 'vitest/node'

/** Says at the end which tests passed only at a second try: that is no failure on a loaded machine, but nothing to be proud of. */
// oxlint-disable-next-line import/no-default-export -- how vitest finds a reporter
export default class ReportRetries implements Reporter {
  readonly #flaky: string[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky === true) this.#flaky.push(`${test.module.relativeModuleId} > ${test.fullName}`)
  }

  onTestRunEnd(): void {
    for (const name of this.#flaky) console.log(`passed only at a second try: ${name}`)
  }
}
