import { createPublicKey, verify } from 'node:crypto'
import { type Attester, type ExpectedEvidence, refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { areTrusted } from '../../x509/anchors.ts'
import type { Assertion } from './assertion.ts'
import type { AttestationObject } from './attestation-object.ts'
import { signedDigest, verifyAttestedKey } from './attested-key.ts'
import type { Extensions } from './authenticator-data.ts'
import { type AppAttestState, appAttestState, type Environment } from './state.ts'

/** Nothing of it is verified. */
export type AppAttestEvidence = ({ kind: 'attestation' } & AttestationObject) | ({ kind: 'assertion' } & Assertion)

/** What is proved of a device with App Attest. */
export interface AppAttestClaims {
  attester: Attester & { state: AppAttestState }
  said: AttestedApp
}

export type AttestedApp = Extensions & {
  kind: AppAttestEvidence['kind']
  /** SHA-256 in hex. */
  keyId: string
  appIdHash: string
  environment: Environment
  counter: number
  /** Since Apple attested the key. */
  attestationAgeMs: number
}

/** Every check, in the order of docs/attestation-formats.md. Throws `evidence_refused`. */
export function verifyAppAttest(
  evidence: AppAttestEvidence,
  anchors: readonly TrustAnchor[],
  { binding, now, attester }: ExpectedEvidence,
): AppAttestClaims {
  const before = attester.kind === 'known' ? appAttestState.parse(attester.state) : undefined
  const state =
    evidence.kind === 'attestation'
      ? verifyAttestation(evidence, anchors, { binding, now, before })
      : verifyAssertion(evidence, anchors, { binding, before })
  return {
    attester: { id: attester.kind === 'known' ? attester.id : `apple-app-attest:${state.keyId}`, state },
    said: {
      kind: evidence.kind,
      keyId: state.keyId,
      appIdHash: state.appIdHash,
      environment: state.environment,
      counter: state.counter,
      attestationAgeMs: now - state.attestedAt,
      ...evidence.data.extensions,
    },
  }
}

interface Expected {
  binding: Uint8Array
  before: AppAttestState | undefined
}

/** A new key takes the place of the one before. One that is attested again goes on counting where it was. */
function verifyAttestation(
  attestation: AttestationObject,
  anchors: readonly TrustAnchor[],
  { binding, now, before }: Expected & { now: number },
): AppAttestState {
  const state = verifyAttestedKey(attestation, anchors, { binding, now })
  if (before === undefined) return state
  verifyKnownApp(before, state.appIdHash)
  if (before.environment !== state.environment) {
    throw refusedEvidence(
      'apple-app-attest.known_environment',
      'The key is of another environment than the one before.',
    )
  }
  return before.keyId === state.keyId ? { ...state, counter: before.counter } : state
}

/** What Apple attested of the key holds as long as those are trusted by whom it is known. */
function verifyAssertion(
  { signature, data }: Assertion,
  anchors: readonly TrustAnchor[],
  { binding, before }: Expected,
): AppAttestState {
  if (before === undefined) {
    throw refusedEvidence('apple-app-attest.attestation', 'A device that enrols needs an attestation of its key.')
  }
  if (!areTrusted(before.anchors, anchors)) {
    throw refusedEvidence(
      'apple-app-attest.path.anchor',
      'A trust anchor that the key was attested by is not trusted any more.',
    )
  }
  const key = createPublicKey({ key: Buffer.from(before.key, 'hex'), format: 'der', type: 'spki' })
  // The device hashes what it signs once more.
  if (!verify('sha256', signedDigest(data.bytes, binding), key, signature)) {
    throw refusedEvidence(
      'apple-app-attest.signature',
      'The assertion is not signed by the key of this device, for this challenge, identity key and session.',
    )
  }
  verifyKnownApp(before, Buffer.from(data.appIdHash).toString('hex'))
  if (data.counter <= before.counter) {
    throw refusedEvidence('apple-app-attest.assertion_counter', 'The key has signed as often as this before.')
  }
  return { ...before, counter: data.counter }
}

function verifyKnownApp(before: AppAttestState, appIdHash: string): void {
  if (before.appIdHash === appIdHash) return
  throw refusedEvidence('apple-app-attest.known_app', 'The app is another one than the one that enrolled.')
}
