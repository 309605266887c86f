import type { Writable } from 'node:stream'
import { Client, type ClientConfig, type Connection, type Submittable } from 'pg'

/** `begin` hears how many bytes are expected, before the first; a throw ends the backup. */
export interface BaseBackupTarget {
  begin(expectedBytes: number): void
  /** One tar archive of the server's data folder with the log that it needs. Ended by the caller. */
  output: Writable
  /** Ends the backup, with its reason. */
  signal: AbortSignal
}

/**
 * A base backup through the replication protocol, as pg_basebackup makes it (PostgreSQL manual, "BASE_BACKUP"): of a server
 * that goes on working, every page checked against its checksum, with the write-ahead log that makes it whole. A slot keeps
 * that log from being recycled meanwhile; it is gone with its connection, however this ends. `connection` is a superuser's.
 */
export async function receiveBaseBackup(connection: ClientConfig, target: BaseBackupTarget): Promise<void> {
  const slot = new Client({ ...connection, application_name: 'qflare_backup_slot' })
  const sender = new Client({ ...connection, application_name: 'qflare_backup', replication: 'true' } as ClientConfig)
  for (const client of [slot, sender]) client.on('error', () => {})
  try {
    await slot.connect()
    await slot.query('select pg_create_physical_replication_slot($1, true, true)', [`qflare_backup_${process.pid}`])
    await sender.connect()
    target.signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      sender.query(new BaseBackup(target, resolve, reject))
    })
  } finally {
    // What went wrong is thrown already; an end that fails on top of it says nothing new.
    for (const client of [sender, slot]) await client.end().catch(() => {})
  }
}

const COMMAND = `BASE_BACKUP (LABEL 'qflare', PROGRESS true, CHECKPOINT 'fast', WAL true, MANIFEST 'no')`
/** `d`: the rest of the message is a piece of the archive; other letters begin one, or tell progress. */
const DATA = 0x64

/** The interface between pg's Client and a query, as pg-copy-streams uses it. */
class BaseBackup implements Submittable {
  private readonly target: BaseBackupTarget
  private readonly resolve: () => void
  private readonly reject: (error: unknown) => void
  private failure: unknown
  private expectedBytes = 0
  private hasBegun = false

  constructor(target: BaseBackupTarget, resolve: () => void, reject: (error: unknown) => void) {
    this.target = target
    this.resolve = resolve
    this.reject = reject
  }

  submit(connection: Connection): void {
    this.target.output.on('error', (error) => this.stop(error, connection))
    this.target.output.on('drain', () => connection.stream.resume())
    this.target.signal.addEventListener('abort', () => this.stop(this.target.signal.reason, connection), { once: true })
    connection.query(COMMAND)
  }

  handleRowDescription(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}

  /** The rows that matter are of tablespaces: id, place and size in KiB. The data folder itself has no id. */
  handleDataRow({ fields }: { fields: (Buffer | string | null)[] }): void {
    const [id, , size] = fields
    if (fields.length !== 3) return
    if (id !== null) this.failure ??= new Error('The database has tablespaces outside its data folder.')
    else this.expectedBytes = Number(size) * 1024
  }

  /** The first byte says what the rest is. */
  handleCopyData({ chunk }: { chunk: Buffer }, connection: Connection): void {
    if (this.failure !== undefined) return this.stop(this.failure, connection)
    if (!this.hasBegun) {
      this.hasBegun = true
      try {
        this.target.begin(this.expectedBytes)
      } catch (error) {
        return this.stop(error, connection)
      }
    }
    // A copy: pg reads the next message into the same memory.
    if (chunk[0] === DATA && !this.target.output.write(Buffer.from(chunk.subarray(1)))) connection.stream.pause()
  }

  handleError(error: unknown): void {
    this.failure ??= error
    this.reject(this.failure)
  }

  handleReadyForQuery(): void {
    if (this.failure === undefined) this.resolve()
    else this.reject(this.failure)
  }

  private stop(error: unknown, connection: Connection): void {
    this.failure ??= error
    connection.stream.destroy()
    this.reject(this.failure)
  }
}
