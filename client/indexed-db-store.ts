import { type DeviceStore, parseStoredForm, toStoredForm } from './device-state.ts'
import { QflareError } from './errors.ts'
import { type Database, type ObjectStore, openDatabase, runTransaction, valueOf } from './indexed-db.ts'

const DATABASE = 'qflare'
const OBJECT_STORE = 'devices'

interface Stored {
  revision: number
  text: string
}

/**
 * The state of a device in the IndexedDB of this page's origin, under `name`, for browsers.
 *
 * Durability: a save is one transaction with durability `strict`. Concurrency: the browser runs such transactions one after
 * the other, of all tabs and workers, so that the check of the revision holds between them. Loss: a browser may clear the
 * storage of an origin when space is short or after weeks without a visit, unless `navigator.storage.persist()` granted
 * otherwise; the device then enrols again. Theft: every script of the origin can read the private key, and so can who reads
 * the browser's profile. An erased chain is gone from what IndexedDB answers; the files below may keep it until the
 * browser compacts them, which no page can ask for.
 */
export function createIndexedDbStore(name = 'device'): DeviceStore {
  return {
    load: () =>
      withDatabase('readonly', async (devices) => {
        const stored = await valueOf<Stored | undefined>(devices.get(name))
        return stored === undefined ? undefined : parseStoredForm(stored.text)
      }),
    save: (state) =>
      withDatabase('readwrite', async (devices) => {
        const stored = await valueOf<Stored | undefined>(devices.get(name))
        if (state.revision !== (stored?.revision ?? 0) + 1) {
          throw new QflareError('state_changed', 'Another tab or worker changed the state of the device in between.')
        }
        await valueOf(devices.put({ revision: state.revision, text: toStoredForm(state) } satisfies Stored, name))
      }),
    // Takes as much room as a state for a moment, so that a full disk shows now.
    prepare: () =>
      withDatabase('readwrite', async (devices) => {
        const probe = `${name} probe`
        await valueOf(devices.put('x'.repeat(64 * 1024), probe))
        await valueOf(devices.delete(probe))
      }),
  }
}

async function withDatabase<T>(mode: 'readonly' | 'readwrite', use: (devices: ObjectStore) => Promise<T>): Promise<T> {
  let database: Database | undefined
  try {
    database = await openDatabase(DATABASE, OBJECT_STORE)
    return await runTransaction(database, OBJECT_STORE, mode, use)
  } catch (error) {
    if (error instanceof QflareError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new QflareError('state_unusable', `IndexedDB cannot be read or written (${reason}).`, { cause: error })
  } finally {
    database?.close()
  }
}
