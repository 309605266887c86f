import { timingSafeEqual } from 'node:crypto'
import { canonicalJson } from '../../../encoding.ts'
import {
  type Attester,
  type Collateral,
  type ExpectedEvidence,
  refusedEvidence,
  type TrustAnchor,
} from '../../evidence-format.ts'
import { derChildren, derTags, parseDer } from '../../x509/der.ts'
import { type ParsedCertificate, wholeBytes } from '../../x509/parse-certificate.ts'
import { isMlDsaKey } from '../../x509/signature-algorithms.ts'
import type { ApplicationId } from './application-id.ts'
import {
  type AttestedChain,
  type AttestedKey,
  type ChainChecks,
  parseAnchors,
  verifyAttestedKey,
} from './attested-key.ts'
import type { RootOfTrust } from './authorization-list.ts'
import type { KeyDescription, SecurityLevel } from './key-description.ts'
import { type AndroidKeyState, androidKeyState, sha256, verifyKnown } from './state.ts'
import { findRevocations, type Revocations } from './status-list.ts'

/** Nothing of it is verified. */
export interface AndroidKeyEvidence {
  /** Of a key that was made for this evidence. */
  fresh: AttestedChain
  /** Of the identity key, which was made before anybody knew what the evidence would be bound to. */
  identity: AttestedChain | undefined
}

/** What is proved of a phone. */
export interface AndroidKeyClaims {
  attester: Attester & { state: AndroidKeyState }
  said: AttestedClaims
}

/** What is not said is null. */
export type AttestedClaims = {
  attestationVersion: number
  keyMintVersion: number
  attestationSecurityLevel: SecurityLevel
  keyMintSecurityLevel: SecurityLevel
  /** Whether it is a StrongBox that the certificates of all keys are for. */
  certifiedStrongBox: boolean
  /** Of the fresh key, and of the identity key where its chain came along. */
  keys: { algorithm: string; purposes: number[]; origin: number | null }[]
  attestedKey: 'identity' | 'other'
  rootOfTrust: RootOfTrust | null
  osVersion: number | null
  osPatchLevel: number | null
  vendorPatchLevel: number | null
  bootPatchLevel: number | null
  application: ApplicationId | null
  moduleHash: string | null
  statusList: Revocations
}

const freshChecks: ChainChecks = {
  path: 'android-key.path',
  extension: 'android-key.extension',
  attestedIssuer: 'android-key.attested_issuer',
  version: 'android-key.version',
  algorithm: 'android-key.algorithm',
}
const identityChecks: ChainChecks = {
  path: 'android-key.identity_path',
  extension: 'android-key.identity_extension',
  attestedIssuer: 'android-key.identity_attested_issuer',
  version: 'android-key.identity_version',
  algorithm: 'android-key.identity_algorithm',
}

/** Every check, in the order of docs/attestation-formats.md. Throws `evidence_refused`. */
export function verifyAndroidKey(
  { fresh, identity }: AndroidKeyEvidence,
  anchors: readonly TrustAnchor[],
  { binding, identityKey, now, attester }: ExpectedEvidence,
  collateral: readonly Collateral[],
): AndroidKeyClaims {
  const parsed = parseAnchors(anchors)
  const { description, ...made } = verifyAttestedKey(fresh, parsed, now, freshChecks)
  const { challenge } = description
  if (challenge.length !== binding.length || !timingSafeEqual(challenge, binding)) {
    throw refusedEvidence('android-key.challenge', 'The key was made for another challenge, identity key or session.')
  }
  const attested = identity && verifyAttestedKey(identity, parsed, now, identityChecks)
  const keys = [{ ...made, description }, ...(attested ? [attested] : [])]
  if (attested) verifyIdentity(attested, identityKey, description)
  const before = attester.kind === 'known' ? androidKeyState.parse(attester.state) : undefined
  const identityHash = sha256(identityKey)
  const isIdentity = attested !== undefined || before?.identityKey === identityHash
  const state = stateOf(description, isIdentity ? identityHash : null)
  if (before !== undefined) verifyKnown(before, state)
  return {
    attester: { id: attester.kind === 'known' ? attester.id : `android-key:${sha256(fresh.leaf.spki)}`, state },
    said: {
      ...deviceClaims(description),
      certifiedStrongBox: keys.every(({ isOfStrongBox }) => isOfStrongBox),
      keys: keys.map(toKey),
      attestedKey: isIdentity ? 'identity' : 'other',
      statusList: findRevocations(
        keys.flatMap(({ serialNumbers }) => serialNumbers),
        collateral,
        now,
      ),
    },
  }
}

/** What hardware alone can know is taken from its own list; who asked for the key is known to Android. */
function deviceClaims(description: KeyDescription) {
  const { hardwareEnforced: hardware, softwareEnforced: software } = description
  return {
    attestationVersion: description.attestationVersion,
    keyMintVersion: description.keyMintVersion,
    attestationSecurityLevel: description.attestationSecurityLevel,
    keyMintSecurityLevel: description.keyMintSecurityLevel,
    rootOfTrust: hardware.rootOfTrust ?? null,
    osVersion: hardware.osVersion ?? null,
    osPatchLevel: hardware.osPatchLevel ?? null,
    vendorPatchLevel: hardware.vendorPatchLevel ?? null,
    bootPatchLevel: hardware.bootPatchLevel ?? null,
    application: software.applicationId ?? null,
    moduleHash: software.moduleHash ?? null,
  }
}

/** That the other chain is of the identity key, and that the same app has it on a device like this one. */
function verifyIdentity({ leaf, description }: AttestedKey, identityKey: Uint8Array, fresh: KeyDescription): void {
  if (!isMlDsaKey(leaf.publicKey) || !Buffer.from(identityKey).equals(rawKeyOf(leaf))) {
    throw refusedEvidence('android-key.identity_key', 'The other chain is not of the identity key.')
  }
  if (kindOf(description) !== kindOf(fresh)) {
    throw refusedEvidence('android-key.identity_device', 'The identity key is of another app or kind of device.')
  }
}

/** Without versions: a key keeps those with which it was made, which are older than those of a fresh one. */
function kindOf(description: KeyDescription): string {
  const { packages, signers, attestationSecurityLevel, keyMintSecurityLevel } = stateOf(description, null)
  return canonicalJson({
    packages: packages.toSorted(),
    signers: signers.toSorted(),
    attestationSecurityLevel,
    keyMintSecurityLevel,
    rootOfTrust: description.hardwareEnforced.rootOfTrust ?? null,
  })
}

function rawKeyOf({ spki }: ParsedCertificate): Uint8Array {
  return wholeBytes(derChildren(parseDer(spki, derTags.sequence), derTags.sequence, derTags.bitString)[1])
}

function toKey({ leaf, description }: AttestedKey) {
  const { purposes, origin = null } = description.hardwareEnforced
  return { algorithm: leaf.publicKey.asymmetricKeyType ?? 'unknown', purposes, origin }
}

function stateOf(description: KeyDescription, identityKey: string | null): AndroidKeyState {
  const { application, rootOfTrust, ...claims } = deviceClaims(description)
  return {
    packages: application?.packages.map(({ name }) => name) ?? [],
    signers: application?.signers ?? [],
    verifiedBootKey: rootOfTrust?.verifiedBootKey ?? null,
    attestationSecurityLevel: claims.attestationSecurityLevel,
    keyMintSecurityLevel: claims.keyMintSecurityLevel,
    osVersion: claims.osVersion,
    osPatchLevel: claims.osPatchLevel,
    vendorPatchLevel: claims.vendorPatchLevel,
    bootPatchLevel: claims.bootPatchLevel,
    identityKey,
  }
}
