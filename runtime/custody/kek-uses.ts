import type { Logger } from '../logger.ts'
import type { CountedPurpose } from './keyring.ts'
import { SealError } from './sealed-record.ts'

/** What AES-GCM with random nonces of 96 bits may seal under one key (NIST SP 800-38D, 8.3); `reserve_kek_uses` holds it. */
export const MAX_KEK_USES = 2 ** 32
/** With so many a key-encryption key gets a successor, within minutes. The other half is for when that is late, and for what nobody counts. */
export const KEK_USE_BUDGET = MAX_KEK_USES / 2
/** So many tell that nobody makes the successor. */
export const KEK_OVERUSED = (MAX_KEK_USES / 4) * 3

/** What a process reserves at once. One that dies loses what is left of it, which makes the count too high, never too low. */
export const USES_AT_ONCE = 8_192
/** With so few left it reserves more. */
const FEW_USES = USES_AT_ONCE / 2

/** No use of a key-encryption key is reserved: the database is away, or the key has sealed as often as one may. */
export class KekUsesError extends SealError {}

/** Resolves when they are counted for good. Rejects with KekUsesError when the key may not seal so often, and when it cannot be counted. */
export type ReserveKekUses = (purpose: CountedPurpose, version: number, uses: number) => Promise<void>

export interface KekUses {
  /** One use, of those that are reserved. Throws KekUsesError. */
  take(purpose: CountedPurpose, version: number): void
  /** Resolves when some are reserved, or the log says why not; a later `take` tries again. */
  prepare(purpose: CountedPurpose, version: number): Promise<void>
}

/** The uses of one process. */
export function countKekUses(reserve: ReserveKekUses, logger: Logger): KekUses {
  const blocks = new Map<string, { left: number; reserving: Promise<void> | undefined }>()

  function blockOf(purpose: CountedPurpose, version: number) {
    const name = `${purpose} ${version}`
    const block = blocks.get(name) ?? { left: 0, reserving: undefined }
    blocks.set(name, block)
    return block
  }

  function reserveMore(purpose: CountedPurpose, version: number): Promise<void> {
    const block = blockOf(purpose, version)
    block.reserving ??= reserve(purpose, version, USES_AT_ONCE)
      .then(
        () => {
          block.left += USES_AT_ONCE
        },
        (error: unknown) =>
          logger.error(`no uses of key-encryption key ${version} of ${purpose} could be reserved`, {}, error),
      )
      .finally(() => {
        block.reserving = undefined
      })
    return block.reserving
  }

  return {
    take(purpose, version) {
      const block = blockOf(purpose, version)
      // Far ahead, so that nobody waits for it.
      if (block.left <= FEW_USES) void reserveMore(purpose, version)
      if (block.left === 0) throw new KekUsesError(`No use of key-encryption key ${version} of ${purpose} is reserved.`)
      block.left -= 1
    },
    async prepare(purpose, version) {
      if (blockOf(purpose, version).left <= FEW_USES) await reserveMore(purpose, version)
    },
  }
}
