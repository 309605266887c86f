import {
  type AttestationChallenge,
  attestationChallenge,
  reattestationBytes,
} from '../../protocol/attestation/messages.ts'
import { type Json, toBase64url } from '../../protocol/encoding.ts'
import { attestationBinding, evidenceDigest } from '../../protocol/enrollment.ts'
import type { SigningKey } from '../../protocol/primitives.ts'
import { type SignatureContext, signatureContexts } from '../../protocol/suites.ts'
import { type Answer, call, type TestDevice } from './api.ts'
import { kidOf } from './identity-rotation.ts'
import type { TestParty } from './rounds.ts'
import { crypto, type TestService } from './service.ts'

/** A challenge for the session of this party. */
export async function startAttestation(
  service: TestService,
  party: Pick<TestParty, 'accessToken'>,
): Promise<AttestationChallenge> {
  const { status, body } = await call(service, 'POST', '/v1/attestations', { token: party.accessToken, body: {} })
  if (status !== 201) throw new Error(`no challenge: ${JSON.stringify(body)}`)
  return attestationChallenge.parse(body)
}

/** What evidence for this challenge has to carry: 32 bytes. */
export function bindingOf(device: TestDevice, { challenge, sessionId }: AttestationChallenge): Uint8Array {
  const { alg, publicKey } = device.identityKey
  return attestationBinding(crypto, { challenge, alg, publicKey, sessionId })
}

/** The body of a submission; `wish` makes it wrong. */
export function signAttestation(
  device: TestDevice,
  started: Pick<AttestationChallenge, 'challenge' | 'sessionId'>,
  evidence: Json[] = [{ format: 'none' }],
  wish: {
    deviceId?: string
    kid?: string
    sessionId?: string
    challenge?: Uint8Array
    signed?: Json[]
    signer?: SigningKey
    context?: SignatureContext
  } = {},
): { evidence: Json[]; signature: string } {
  const { signer = device.identityKey, context = signatureContexts.reattest } = wish
  const bytes = reattestationBytes({
    deviceId: wish.deviceId ?? device.deviceId,
    kid: wish.kid ?? kidOf(device.identityKey),
    sessionId: wish.sessionId ?? started.sessionId,
    challenge: wish.challenge ?? started.challenge,
    evidenceDigest: evidenceDigest(crypto, wish.signed ?? evidence),
  })
  return { evidence, signature: toBase64url(signer.sign(bytes, context)) }
}

export function submitAttestation(
  service: Pick<TestService, 'url'>,
  party: Pick<TestParty, 'accessToken'>,
  attestationId: string,
  body: unknown,
): Promise<Answer> {
  return call(service, 'POST', `/v1/attestations/${attestationId}`, { token: party.accessToken, body })
}

/** From the challenge to the answer. */
export async function attest(
  service: TestService,
  party: TestParty,
  makeEvidence: (binding: Uint8Array) => Json[] | Promise<Json[]> = () => [{ format: 'none' }],
): Promise<Answer> {
  const started = await startAttestation(service, party)
  const evidence = await makeEvidence(bindingOf(party, started))
  return submitAttestation(service, party, started.attestationId, signAttestation(party, started, evidence))
}
