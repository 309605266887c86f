import type { ColumnType } from 'kysely'

/** Read as milliseconds since the Unix epoch, written as a Date. */
export type Timestamp = ColumnType<number, Date, Date>
export type NullableTimestamp = ColumnType<number | null, Date | null, Date | null>
export type Bytes = ColumnType<Uint8Array, Uint8Array, Uint8Array>
export type NullableBytes = ColumnType<Uint8Array | null, Uint8Array | null, Uint8Array | null>
/** Written as text. */
export type Jsonb<T> = ColumnType<T, string, string>
