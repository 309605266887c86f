export interface OpenedCheckpoint {
  origin: string
  size: bigint
  root: Buffer
  /** Seconds since the Unix epoch; undefined where no signature carries a time. */
  signedAt: bigint | undefined
}

// Everything throws what is wrong. Hashes have 32 bytes; `event`: parsed, or the bytes of a leaf.
export function jcs(value: unknown): string
export function vkeysOfBundle(bundle: { trustDomain: string; keys: readonly object[] }): string[]
export function openCheckpoint(note: string, vkeys: readonly string[]): OpenedCheckpoint
export function verifyProof(
  proof: string,
  event: unknown,
  vkeys: readonly string[],
): { index: bigint; checkpoint: OpenedCheckpoint }
export function verifyExport(
  lines: Iterable<string> | AsyncIterable<string>,
  vkeys: readonly string[],
): Promise<{
  origin: string
  from: number
  to: number
  checkpoint: OpenedCheckpoint
  leaves: Buffer[]
  /** Undefined where the hash alone was there. */
  events: unknown[]
}>
export function verifyInclusion(
  leaf: Uint8Array,
  index: number | bigint,
  size: number | bigint,
  path: readonly Uint8Array[],
  root: Uint8Array,
): void
export function verifyConsistency(
  older: number | bigint,
  newer: number | bigint,
  path: readonly Uint8Array[],
  olderRoot: Uint8Array,
  newerRoot: Uint8Array,
): void
export function rootsOver(leaves: readonly Uint8Array[]): (size: number) => Buffer
export function rootFromTiles(
  size: number,
  fetchTile: (path: string) => Promise<Uint8Array>,
): Promise<{ root: Buffer; leaves: Buffer[] }>
