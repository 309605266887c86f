import type { Primitives } from '../../protocol/primitives.ts'
import type { Logger } from '../logger.ts'
import { countKekUses, type ReserveKekUses } from './kek-uses.ts'
import { countedPurposes, type Keyring, UnknownKeyError } from './keyring.ts'
import { openServiceKeys, type ServiceKeys, type StoredServiceKeys } from './service-keys.ts'
import { liveSigner } from './signer.ts'
import type { Wrapper } from './wrapper.ts'

/** The keys of the service as they are now: whoever has this follows every rotation. */
export interface LiveServiceKeys extends ServiceKeys {
  /** Resolves when the keys of now are held. Rejects, and holds what it held, when they cannot be read or opened. */
  refresh(): Promise<void>
  close(): void
}

export interface LiveServiceKeysParts {
  crypto: Primitives
  wrapper: Wrapper
  logger: Logger
  /** Another text whenever a key is another one. */
  readState: () => Promise<string>
  readKeys: () => Promise<StoredServiceKeys>
  /** Undefined in a process that seals nothing of a counted purpose. */
  reserveUses: ReserveKekUses | undefined
}

/** How often they are looked for, in milliseconds; the shortest time between keys that are published and keys that sign is longer. */
const LOOK_EVERY_MS = 5_000

/**
 * Opens the keys and follows them: by a timer, and at once when a record names a version that is not known here. Throws what
 * `openServiceKeys` throws.
 */
export async function followServiceKeys(parts: LiveServiceKeysParts): Promise<LiveServiceKeys> {
  const uses = parts.reserveUses && countKekUses(parts.reserveUses, parts.logger)
  let state = await parts.readState()
  let held = await open()
  let refreshing: Promise<void> | undefined

  /** Ready to seal. */
  async function open(): Promise<ServiceKeys> {
    const opened = await openServiceKeys(parts.crypto, parts.wrapper, await parts.readKeys(), uses)
    for (const purpose of countedPurposes) await uses?.prepare(purpose, opened.keyring.activeVersion(purpose))
    return opened
  }

  async function look(): Promise<void> {
    const seen = await parts.readState()
    if (seen === state) return
    // Read after the state: whatever changes in between changes that again, and is read the next time.
    held = await open()
    state = seen
    parts.logger.info('the keys of the service changed and were read again')
  }

  /** Who asks while somebody looks may know of a change that came after that look began, and looks once more. */
  async function refresh(): Promise<void> {
    await refreshing?.catch(() => {
      // Told to who asked for it; this one looks itself.
    })
    refreshing ??= look().finally(() => {
      refreshing = undefined
    })
    return refreshing
  }

  const timer = setInterval(() => {
    refresh().catch((error: unknown) =>
      parts.logger.error('the keys of the service could not be read again; those of before are used', {}, error),
    )
  }, LOOK_EVERY_MS).unref()

  const { auditSigner87 } = held
  return {
    get rootKid() {
      return held.rootKid
    },
    profile: held.profile,
    keyring: liveKeyring(() => held.keyring, refresh),
    bucketSigner: liveSigner(() => held.bucketSigner),
    attestationSigner: liveSigner(() => held.attestationSigner),
    auditSigner: liveSigner(() => held.auditSigner),
    auditSigner87: auditSigner87 && liveSigner(() => held.auditSigner87 ?? auditSigner87),
    get auditKeys() {
      return held.auditKeys
    },
    refresh,
    close: () => clearInterval(timer),
  }
}

function liveKeyring(current: () => Keyring, refresh: () => Promise<void>): Keyring {
  async function knowing<T>(use: () => Promise<T>): Promise<T> {
    try {
      return await use()
    } catch (error) {
      if (!(error instanceof UnknownKeyError)) throw error
      await refresh()
      return use()
    }
  }
  return {
    activeVersion: (purpose) => current().activeVersion(purpose),
    seal: (purpose, place, plaintext) => current().seal(purpose, place, plaintext),
    open: (purpose, place, record) => knowing(() => current().open(purpose, place, record)),
    mac: (purpose, message) => current().mac(purpose, message),
    isMac: (purpose, version, message, mac) => knowing(() => current().isMac(purpose, version, message, mac)),
  }
}
