import type { TemporalKeyName } from './temporal-key-store.ts'

/** What a record is called in its store: `epoch-5984394-0`. */
export function toRecordName({ kind, number, generation }: TemporalKeyName): string {
  return `${kind}-${number}-${generation}`
}

/** Undefined for what is no record of ours. */
export function parseRecordName(text: string): TemporalKeyName | undefined {
  const [, kind, number, generation] = /^(epoch|bucket)-(\d{1,15})-(\d{1,9})$/.exec(text) ?? []
  if (kind === undefined) return undefined
  return { kind: kind as TemporalKeyName['kind'], number: Number(number), generation: Number(generation) }
}
