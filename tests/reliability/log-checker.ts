import type { Client } from 'pg'
import { concatenate, isUuid } from '../../protocol/encoding.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import { createFrontier, foldRight } from '../../protocol/log/frontier.ts'
import { HASH_BYTES, leafHash, type TreeHead } from '../../protocol/log/merkle.ts'
import { hashPerfect, TILE_WIDTH } from '../../protocol/log/tiles.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'

/** An event as it stands in the log. */
export interface LoggedEvent {
  index: number
  id: string
  type: string
  actor: { type: string }
  requestId: string
  subject: Record<string, unknown>
  data: Record<string, unknown>
}

/**
 * Reads a log behind the service's back and computes it anew: what is read once stays in this memory, so that whatever is read
 * or signed later has to agree with it. Every method throws with what is wrong.
 */
export interface LogChecker {
  size(): number
  /** Everything that was appended since: entries, their ids, the stored tree and the stored checkpoints. */
  readOn(sql: Client): Promise<LoggedEvent[]>
  /** `head` is of this tree, which has grown to it already. */
  requireHead(head: TreeHead, what: string): void
  /** The same of a signed note. */
  requireNote(note: string, what: string): VerifiedCheckpoint
}

export function createLogChecker(crypto: Primitives, keys: readonly VerifierKey[]): LogChecker {
  const frontier = createFrontier(crypto)
  /** Of the tree of each size, what its root is computed from. */
  const frontiers = [frontier.hashes()]
  /** Of each level of the tree, as C2SP tiles have them: all hashes, and how many of them were compared with what is stored. */
  const levels: { hashes: Uint8Array[]; compared: number }[] = []
  const seenIds = new Set<string>()
  let lastCheckpoint = 0

  function addHash(level: number, hash: Uint8Array): void {
    const { hashes } = (levels[level] ??= { hashes: [], compared: 0 })
    hashes.push(hash)
    if (hashes.length % TILE_WIDTH === 0) addHash(level + 1, hashPerfect(crypto, hashes.slice(-TILE_WIDTH)))
  }

  function addEntry(index: number, entry: string): LoggedEvent {
    const leaf = leafHash(crypto, new TextEncoder().encode(entry))
    frontier.append(leaf)
    frontiers.push(frontier.hashes())
    addHash(0, leaf)
    const { id, type, actor, requestId, subject, data } = JSON.parse(entry) as Omit<LoggedEvent, 'index'>
    if (!isUuid(id) || seenIds.has(id)) throw new Error(`entry ${index}: the event ${id} is in the log before`)
    seenIds.add(id)
    return { index, id, type, actor, requestId, subject, data }
  }

  async function readEntries(sql: Client): Promise<LoggedEvent[]> {
    const { rows } = await sql.query<{ index: string; event_id: string; entry: string; named: string | null }>(
      `select e.index, e.event_id, e.entry, i.event_id as named
        from audit_entry e left join audit_event_id i on i.index = e.index where e.index >= $1 order by e.index`,
      [frontier.size()],
    )
    return rows.map((row) => {
      const index = frontier.size()
      if (Number(row.index) !== index) throw new Error(`entry ${index} is missing: ${row.index} follows`)
      const event = addEntry(index, row.entry)
      if (event.id !== row.event_id || event.id !== row.named) {
        throw new Error(`entry ${index} is event ${event.id}, its rows say ${row.event_id} and ${row.named}`)
      }
      return event
    })
  }

  async function compareTiles(sql: Client): Promise<void> {
    for (const [level, { hashes, compared }] of levels.entries()) {
      const { rows } = await sql.query<{ first_index: string; hashes: Buffer }>(
        'select first_index, hashes from audit_tile where level = $1 and first_index >= $2 order by first_index',
        [level, compared],
      )
      let at = compared
      for (const row of rows) {
        if (Number(row.first_index) !== at) throw new Error(`level ${level}: no hash ${at}, ${row.first_index} follows`)
        const width = row.hashes.length / HASH_BYTES
        const expected = concatenate(hashes.slice(at, at + width))
        if (!row.hashes.equals(expected))
          throw new Error(`level ${level}: hashes from ${at} on are not those of the log`)
        at += width
      }
      if (at !== hashes.length) throw new Error(`level ${level}: ${at} hashes are stored, not ${hashes.length}`)
      ;(levels[level] as { compared: number }).compared = at
    }
    const { rowCount } = await sql.query('select from audit_tile where level >= $1 limit 1', [levels.length])
    if (rowCount !== 0) throw new Error(`hashes of level ${levels.length} or above are stored, where the log has none`)
  }

  async function compareCheckpoints(sql: Client): Promise<void> {
    const { rows } = await sql.query<{ id: string; size: string; root: Buffer; note: string }>(
      'select id, size, root, note from audit_checkpoint where id > $1 order by id',
      [lastCheckpoint],
    )
    for (const { id, size, root, note } of rows) {
      const what = `stored checkpoint ${id}`
      requireHead({ size: Number(size), root }, what)
      const signed = requireNote(note, what)
      if (signed.size !== Number(size)) throw new Error(`${what} is of ${size}, its note of ${signed.size}`)
      lastCheckpoint = Number(id)
    }
  }

  async function compareState(sql: Client): Promise<void> {
    const { rows } = await sql.query<{
      size: string
      published_size: string
      of_checkpoint: string | null
      ids: string
    }>(
      `select size, published_size, (select size from audit_checkpoint where id = published_id) as of_checkpoint,
        (select count(*) from audit_event_id) as ids from audit_log_state`,
    )
    const [state] = rows
    const numbers = [state?.size, state?.ids].map(Number)
    if (numbers.some((size) => size !== frontier.size())) {
      throw new Error(`${frontier.size()} entries; the state and the ids say ${numbers.join(' and ')}`)
    }
    if (Number(state?.of_checkpoint ?? 0) !== Number(state?.published_size)) {
      throw new Error(`published are ${state?.published_size}, by a checkpoint of ${state?.of_checkpoint}`)
    }
  }

  function requireHead({ size, root }: TreeHead, what: string): void {
    const known = frontiers[size]
    if (known === undefined) throw new Error(`${what} is of ${size} entries, the log has ${frontier.size()}`)
    if (crypto.equal(root, foldRight(crypto, known))) return
    throw new Error(`${what} of ${size} entries is of another tree than the log's`)
  }

  function requireNote(note: string, what: string): VerifiedCheckpoint {
    const verified = verifyCheckpoint(crypto, note, { log: keys })
    requireHead(verified, what)
    return verified
  }

  return {
    size: () => frontier.size(),
    requireHead,
    requireNote,
    async readOn(sql) {
      // One snapshot: a writer may be at work.
      await sql.query('begin isolation level repeatable read read only')
      try {
        const events = await readEntries(sql)
        await compareTiles(sql)
        await compareCheckpoints(sql)
        await compareState(sql)
        return events
      } finally {
        await sql.query('rollback')
      }
    },
  }
}
