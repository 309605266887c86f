import { createHash } from 'node:crypto'
import { z } from 'zod'
import { refusedEvidence } from '../../evidence-format.ts'
import { securityLevels } from './key-description.ts'

const hex = z.string().regex(/^[0-9a-f]{64}$/)
const number = z.int().nullable()

/** What is remembered of a phone between two attestations. No id of the device is among it. */
export const androidKeyState = z.strictObject({
  packages: z.array(z.string()),
  signers: z.array(hex),
  verifiedBootKey: hex.nullable(),
  attestationSecurityLevel: z.enum(securityLevels),
  keyMintSecurityLevel: z.enum(securityLevels),
  osVersion: number,
  osPatchLevel: number,
  vendorPatchLevel: number,
  bootPatchLevel: number,
  /** SHA-256 of the identity key that was attested itself. */
  identityKey: hex.nullable(),
})
export type AndroidKeyState = z.output<typeof androidKeyState>

const versions = ['osVersion', 'osPatchLevel', 'vendorPatchLevel', 'bootPatchLevel'] as const

/** That a later attestation is of the same app on a device of the same kind, which did not go back. Throws `evidence_refused`. */
export function verifyKnown(before: AndroidKeyState, now: AndroidKeyState): void {
  if (!isSameSet(before.packages, now.packages) || !isSameSet(before.signers, now.signers)) {
    throw refusedEvidence('android-key.known_app', 'The app is another one than the one that enrolled.')
  }
  if (before.verifiedBootKey !== now.verifiedBootKey) {
    throw refusedEvidence('android-key.known_boot_key', 'The device boots with another key than when it enrolled.')
  }
  if (
    before.attestationSecurityLevel !== now.attestationSecurityLevel ||
    before.keyMintSecurityLevel !== now.keyMintSecurityLevel
  ) {
    throw refusedEvidence('android-key.known_level', 'The key is held by something else than when the device enrolled.')
  }
  const older = versions.find((name) => dayOf(now[name] ?? -1) < dayOf(before[name] ?? -1))
  if (older !== undefined) throw refusedEvidence('android-key.known_version', `The device went back: ${older}.`)
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((member) => other.includes(member))
}

/** A patch level as YYYYMMDD, or before the first of its month where it has no day; OS versions, which are shorter, stay in order. */
export function dayOf(patchLevel: number): number {
  return patchLevel < 1_000_000 ? patchLevel * 100 : patchLevel
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
