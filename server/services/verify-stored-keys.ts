import type { Database } from '../../database/open.ts'
import { listNewestTemporalKeys } from '../../database/repositories/temporal-keys.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'

/**
 * That the store has every key from this bucket on, as it was recorded: what a process holds may be of a store that lost
 * everything, and sessions that are made with it end as soon as the next generation is made. Throws Error that says how many are
 * not, TemporalStoreError where the store is away.
 */
export type VerifyStoredKeys = (firstNumber: number) => Promise<void>

export function createVerifyStoredKeys(parts: {
  database: Database
  store: TemporalKeyStore
  crypto: Primitives
}): VerifyStoredKeys {
  const { crypto } = parts
  return async (firstNumber) => {
    const newest = await parts.database.withoutOrganization((tx) => listNewestTemporalKeys(tx, firstNumber))
    const alive = newest.filter(({ destroyedAt }) => destroyedAt === undefined)
    const records = await Promise.all(alive.map((row) => parts.store.find(row)))
    const lost = alive.filter((row, index) => {
      const record = records[index]
      if (record === undefined) return true
      const recordHash = crypto.hash256(record)
      // A dump of this process must not have it after its time.
      record.fill(0)
      return !crypto.equal(recordHash, row.recordHash)
    })
    if (lost.length === 0) return
    throw new Error(`${lost.length} of ${alive.length} temporal keys were lost from their store; they are made anew.`)
  }
}
