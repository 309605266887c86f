/**
 * The part of IndexedDB that is used, with promises. Its types stand here because the compiler's library for browsers would
 * let every file of a Node program name `document`.
 */

interface Listenable {
  addEventListener(type: string, listener: () => void): void
}

interface StoreRequest<T> extends Listenable {
  readonly result: T
  readonly error: Error | null
}

export interface ObjectStore {
  get(key: string): StoreRequest<unknown>
  put(value: unknown, key: string): StoreRequest<unknown>
  delete(key: string): StoreRequest<unknown>
}

interface Transaction extends Listenable {
  readonly error: Error | null
  abort(): void
  objectStore(name: string): ObjectStore
}

export interface Database extends Listenable {
  readonly objectStoreNames: { contains(name: string): boolean }
  createObjectStore(name: string): ObjectStore
  transaction(name: string, mode: 'readonly' | 'readwrite', options: { durability: 'strict' }): Transaction
  close(): void
}

interface Factory {
  open(name: string, version: number): StoreRequest<Database>
}

/** The database `name`, made with one object store where it is not there. Rejects where the browser has or allows none. */
export async function openDatabase(name: string, objectStore: string): Promise<Database> {
  const { indexedDB } = globalThis as { indexedDB?: Factory }
  if (indexedDB === undefined) throw new Error('there is no IndexedDB here')
  const request = indexedDB.open(name, 1)
  request.addEventListener('upgradeneeded', () => {
    if (!request.result.objectStoreNames.contains(objectStore)) request.result.createObjectStore(objectStore)
  })
  const database = await valueOf(request)
  // A newer version of the library in another tab is not kept waiting.
  database.addEventListener('versionchange', () => database.close())
  return database
}

/**
 * Runs `use` in one transaction, which is on disk when this resolves and undone when `use` rejects. `use` may wait for
 * requests of `store` only: a transaction ends as soon as it has nothing to do.
 */
export async function runTransaction<T>(
  database: Database,
  objectStore: string,
  mode: 'readonly' | 'readwrite',
  use: (store: ObjectStore) => Promise<T>,
): Promise<T> {
  const transaction = database.transaction(objectStore, mode, { durability: 'strict' })
  const ended = new Promise<void>((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve())
    transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('the transaction was aborted')))
  })
  const used = use(transaction.objectStore(objectStore)).catch((error: unknown) => {
    abort(transaction)
    throw error
  })
  const [result] = await Promise.allSettled([used, ended])
  if (result.status === 'rejected') throw result.reason
  await ended
  return result.value
}

export function valueOf<T>(request: StoreRequest<T> | StoreRequest<unknown>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result as T))
    request.addEventListener('error', () => reject(request.error ?? new Error('a request failed')))
  })
}

function abort(transaction: Transaction): void {
  try {
    transaction.abort()
  } catch {
    // It ended by itself, because a request of it failed.
  }
}
