import { createHash } from 'node:crypto'
import type { Client } from 'pg'
import { migrations } from './migrations.ts'

/** The migrations of a database beside those of this release, by name. */
export interface AppliedMigrations {
  /** In the order of this release's, and what it does not know after that. */
  applied: string[]
  /** This release does not know them. */
  newer: string[]
  /** They are to be applied. */
  missing: string[]
  /** Other SQL ran under the name than this release has. */
  changed: string[]
  /** A release that kept no hash applied them: what ran is not known. */
  unhashed: string[]
}

/** SHA-256 of the SQL itself, in hexadecimal: the same whatever file, compiler or line ends it came through. */
export function hashMigration(up: string): string {
  return createHash('sha256').update(up).digest('hex')
}

/** Wants the table `schema_migration`, also as releases before made it, without the column of hashes. */
export async function readAppliedMigrations(client: Client): Promise<AppliedMigrations> {
  const { rows } = await client.query<{ name: string; sha256: string | null }>(
    `select name, to_jsonb(schema_migration) ->> 'sha256' as sha256 from schema_migration order by name`,
  )
  const known = new Map(migrations.map(({ name, up }) => [name, up]))
  const stored = new Map(rows.map(({ name, sha256 }) => [name, sha256]))
  const applied = [...stored.keys()].toSorted((a, b) => Number(known.has(b)) - Number(known.has(a)))
  return {
    applied,
    newer: applied.filter((name) => !known.has(name)),
    missing: [...known.keys()].filter((name) => !stored.has(name)),
    changed: [...known].flatMap(([name, up]) => {
      const sha256 = stored.get(name) ?? null
      return sha256 === null || sha256 === hashMigration(up) ? [] : [name]
    }),
    unhashed: applied.filter((name) => stored.get(name) === null),
  }
}

/** What to say of those in `changed`. */
export function describeChanged(changed: readonly string[]): string {
  return `Its schema was made by other SQL than this release has for ${changed.join(', ')}: a migration was changed after it ran. Start the release that made it, or see docs/operations.md, “A migration that was changed”.`
}
