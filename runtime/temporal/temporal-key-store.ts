/**
 * Where epoch keys and bucket seeds live, sealed, outside PostgreSQL and its backups (docs/protocol.md §6). Losing it ends
 * sessions, and devices exchange again; rolling it back opens nothing without the key-encryption key.
 */
export interface TemporalKeyStore {
  /** False where a deleted record may survive on the medium: destruction is then best effort, and its event says so. */
  readonly isErasable: boolean
  /** Stores the record unless the name is taken, atomically among all writers; answers what is stored then. Durable as the medium is. */
  makeOnce(name: TemporalKeyName, record: Uint8Array): Promise<Uint8Array>
  find(name: TemporalKeyName): Promise<Uint8Array | undefined>
  /** The names of all records, in no order. */
  list(): Promise<TemporalKeyName[]>
  /** False when there was nothing to delete. Safe to repeat. */
  destroy(name: TemporalKeyName): Promise<boolean>
}

export interface TemporalKeyName {
  kind: 'epoch' | 'bucket'
  number: number
  generation: number
}

/** The store is away, or refuses: what was asked of it may have been done or not. */
export class TemporalStoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TemporalStoreError'
  }
}
