import { credentialAnswer } from '../../../protocol/attestation/messages.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { attestationBinding, type EnrollmentChallenge } from '../../../protocol/enrollment.ts'
import type { SigningKey } from '../../../protocol/primitives.ts'
import { type Answer, call, createToken, establish, makeIdentity, signCompletion, startEnrollment } from '../api.ts'
import { createPolicy } from '../policies.ts'
import type { TestParty } from '../rounds.ts'
import { crypto, type TestService } from '../service.ts'
import { activateCredential } from './activate-credential.ts'
import { certifyEk } from './ek-authority.ts'
import { akKinds, testPcrs, toText } from './evidence.ts'
import { type EkKind, makeSoftwareTpm, type SoftwareTpm, type TestPcrs } from './software-tpm.ts'
import { tpm2b } from './structures.ts'

/** Software that a device must not have started. */
export const otherPcrs: TestPcrs = { sha256: { ...testPcrs.sha256, '4': 'ee'.repeat(32) } }

export const tpmReference = { pcrs: { sha256: Object.fromEntries([0, 2, 4, 7].map((pcr) => [pcr, [valueOf(pcr)]])) } }

function valueOf(pcr: number): string {
  return testPcrs.sha256?.[pcr] ?? ''
}

/** A policy that wants what `tpmReference` says, under this name of a reference value; `change` replaces members. */
export function createTpmPolicy(service: Pick<TestService, 'url' | 'adminToken'>, name: string, change: object = {}) {
  const evidence = { tpm2: { rules: {}, referenceValues: ['boot'] } }
  return createPolicy(service, name, { evidence, enroll: ['affirming'], ...change })
}

/** Each name has keys of its own. */
export function tpmNamed(name: string, ek: EkKind = 'P-256'): SoftwareTpm {
  const ak = ek === 'RSA-2048' ? akKinds['RSASSA, SHA-256'] : akKinds['ECDSA P-256, SHA-256']
  return makeSoftwareTpm({ ek, ak, name })
}

/** What a credential is asked for with. */
export function keysOf(tpm: SoftwareTpm): Record<string, Json> {
  const path = certifyEk(tpm)
  const ekChain = [toText(path.intermediate)]
  return { ekCertificate: toText(path.leaf), ekChain, akPublic: toText(tpm2b(tpm.akArea)) }
}

export function askCredential(service: TestService, enrollmentId: string, body: unknown): Promise<Answer> {
  return call(service, 'POST', `/v1/enrollments/${enrollmentId}/credential`, { body })
}

/** The secret that the TPM opens. */
export async function activate(service: TestService, { enrollmentId }: EnrollmentChallenge, tpm: SoftwareTpm) {
  const { status, body } = await askCredential(service, enrollmentId, keysOf(tpm))
  if (status !== 200) throw new Error(`no credential: ${JSON.stringify(body)}`)
  return activateCredential(tpm, credentialAnswer.parse(body))
}

/** A quote for a binding; `members` are added to it or replace its own. */
export function quoteOf(
  tpm: SoftwareTpm,
  binding: Uint8Array,
  { pcrs = testPcrs, ...members }: { pcrs?: TestPcrs; [member: string]: Json | TestPcrs } = {},
): Record<string, Json> {
  const { quote, signature } = tpm.quote({ binding, pcrs })
  const quoted = { akPublic: toText(tpm2b(tpm.akArea)), quote: toText(quote), signature: toText(signature) }
  return { format: 'tpm2', ...quoted, pcrs: pcrs as Json, ...(members as Record<string, Json>) }
}

/** Evidence of an enrolment, whose credential was opened. */
export function enrollingEvidence(
  tpm: SoftwareTpm,
  started: EnrollmentChallenge,
  { alg, publicKey }: Pick<SigningKey, 'alg' | 'publicKey'>,
  { secret, ...wish }: { secret: Uint8Array; pcrs?: TestPcrs },
): Record<string, Json> {
  const binding = attestationBinding(crypto, { challenge: started.challenge, alg, publicKey, sessionId: undefined })
  return quoteOf(tpm, binding, { ...keysOf(tpm), ...wish, activatedSecret: toText(secret) })
}

export function complete(service: TestService, started: EnrollmentChallenge, body: unknown): Promise<Answer> {
  return call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
}

/** The whole of an enrolment with a TPM, and its answer. */
export async function enrollTpm(
  service: TestService,
  tpm: SoftwareTpm,
  policyId: string,
  wish: { pcrs?: TestPcrs } = {},
) {
  const started = await startEnrollment(service, (await createToken(service, { policyId })).credential)
  const secret = await activate(service, started, tpm)
  const identity = makeIdentity()
  const evidence = [enrollingEvidence(tpm, started, identity.identityKey, { secret, ...wish })]
  const answer = await complete(service, started, signCompletion(started, identity.identityKey, { evidence }))
  return { answer, identity, started }
}

/** Enrolled with a TPM, in an ACTIVE session. */
export async function enterWithTpm(service: TestService, tpm: SoftwareTpm, policyId: string): Promise<TestParty> {
  const { answer, identity } = await enrollTpm(service, tpm, policyId)
  if (answer.status !== 201) throw new Error(`not enrolled: ${JSON.stringify(answer.body)}`)
  const device = { deviceId: answer.body.deviceId as string, ...identity }
  return { ...device, ...(await establish(service, device)) }
}
