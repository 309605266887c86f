import { describe, expect, it } from 'vitest'
import { providers } from '../support/protocol-providers.ts'
import { findForeignFiles } from '../support/protocol-vectors.ts'

/**
 * Wycheproof (`testvectors_v1/mlkem_1024_*.json`, `mldsa_*.json`) and ACVP (`gen-val/json-files/ML-*`) are not copied
 * into this repository: a clone of either, named by QFLARE_VECTORS, is run as it is.
 */
const folder = process.env.QFLARE_VECTORS
const files = folder === undefined ? [] : findForeignFiles(folder)

it.skipIf(folder === undefined)('QFLARE_VECTORS names Wycheproof or ACVP files; unset, none is run', () => {
  expect(files.map(({ path }) => path)).not.toEqual([])
})

describe.each(files)('$path', ({ path, cases }) => {
  it('passes in every case that this API can express, of which there are some', { timeout: 600_000 }, () => {
    const failures: string[] = []
    const left = new Map<string, number>()
    const counts = providers.map((crypto) => {
      const runnable = cases.filter((one) => {
        const reason = one.inexpressible(crypto)
        if (reason !== undefined) left.set(reason, (left.get(reason) ?? 0) + 1)
        return reason === undefined
      })
      for (const { name, run } of runnable) {
        try {
          run(crypto)
        } catch (error) {
          failures.push(`${crypto.provider}: case ${name}: ${String(error)}`)
        }
      }
      return runnable.length
    })
    const leftOut = [...left].map(([reason, count]) => `, left out ${count}: ${reason}`).join('')
    console.log(`${path}: ran ${counts.join(' native and ')} portable${leftOut}`)
    expect(failures).toEqual([])
    expect(
      counts.reduce((sum, count) => sum + count, 0),
      'cases that were run',
    ).toBeGreaterThan(0)
  })
})
