import { z } from 'zod'
import { credentialAnswer, credentialRequest } from '../protocol/attestation/messages.ts'
import { fromBase64url, isUuid } from '../protocol/encoding.ts'
import {
  attestationBinding,
  deviceMetadata,
  displayName,
  type EnrollmentChallenge,
  enrollmentAnswer,
  enrollmentBytes,
  enrollmentChallenge,
  enrollmentCompletion,
  evidenceDigest,
  type PrincipalKind,
  principalKinds,
} from '../protocol/enrollment.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { hedgeIdentitySeed } from '../protocol/hedge.ts'
import { choosePrimitives } from '../protocol/primitives/choose.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../protocol/suites.ts'
import { type TrustBundle, trustDigest, verifyNextTrustBundle, verifyPinnedTrustBundle } from '../protocol/trust.ts'
import { kid, signatureAlgorithm } from '../protocol/wire.ts'
import { type Attester, ask, chooseAttesters, collectEvidence, type EvidenceJson } from './attester.ts'
import { chooseAlgorithm } from './choose-algorithm.ts'
import { openDevice, type QflareDevice } from './device.ts'
import type { DeviceStore } from './device-state.ts'
import { QflareError } from './errors.ts'
import { createHttpClient, type HttpClient, type HttpOptions } from './http.ts'
import { parseInput } from './parse-input.ts'

export interface EnrollmentOptions extends HttpOptions {
  /** `<id>.<secret>.<pin>`, as an operator made it. The pin stays here. */
  token: string
  /** Where the identity is kept. It must be empty: an enrolment never replaces a key. */
  store: DeviceStore
  /** 1 to 128 characters, no control or format characters, at least one that shows. Must be the token's, where the token fixes one. */
  name: string
  /** Must be the token's. Default: `device`. */
  kind?: PrincipalKind | undefined
  /** Of the identity key. Default: the first that the server's policy names. */
  alg?: SignatureAlgorithm | undefined
  /** What evidence comes from where the policy of the token wants some (docs/attestation.md). Default: nothing but `none`. */
  attesters?: readonly Attester[] | undefined
  /** What the device says of itself; nothing rests on it. At most 32 members, names to 64 and texts to 256 characters. */
  metadata?: Record<string, string | number | boolean> | undefined
  /** Default: node:crypto where it has the algorithms, otherwise JavaScript. */
  crypto?: Primitives | undefined
  /** The device's clock, milliseconds since the Unix epoch. Default: `Date.now`. */
  now?: (() => number) | undefined
  /** Ends the enrolment, which then rejects with the signal's reason. The token may be spent: then it serves no more. */
  signal?: AbortSignal | undefined
}

const enrollmentInput = z.object({
  token: z.string(),
  name: displayName,
  kind: z.enum(principalKinds).default('device'),
  alg: signatureAlgorithm.optional(),
  metadata: deviceMetadata.default({}),
})

/**
 * Enrols a device or coordinator (docs/protocol.md §3) with the evidence that its policy wants, and stores its identity. The server
 * is checked against the token's pin before anything is signed, and that there is an attester for each format before anything is
 * spent. Throws `input_invalid`, `token_invalid` and `already_enrolled` before the network, `policy_refused`, what an attester
 * throws, the server's refusals, or the `ProtocolError` `trust_invalid`.
 */
export async function enrollDevice(options: EnrollmentOptions): Promise<QflareDevice> {
  const { store } = options
  const { name, kind, alg: wantedAlg, metadata, ...given } = parseInput(enrollmentInput, options)
  const token = parseEnrollmentToken(given.token)
  const http = createHttpClient(options).withSignal(options.signal)
  const crypto = options.crypto ?? (await choosePrimitives())
  if ((await store.load()) !== undefined) {
    throw new QflareError('already_enrolled', 'There is a device already: an enrolment never replaces its key.')
  }
  await store.prepare()

  const repeatable = { repeatable: true }
  const start = { token: `${token.id}.${token.secret}` }
  const challenge = await http.post('/v1/enrollments', start, enrollmentChallenge, repeatable)
  const trust = verifyPinnedTrustBundle(crypto, challenge.trust, token.pin)
  const alg = chooseAlgorithm(challenge.policy, wantedAlg)
  const attesters = chooseAttesters(challenge.policy.evidence, options.attesters ?? [])
  const activated = await activateAttesters(http, challenge, attesters)
  const seed = hedgeIdentitySeed(crypto, fromBase64url(token.secret, 32))

  const { publicKey } = crypto.importSigningKey(alg, seed)
  const binding = attestationBinding(crypto, { ...challenge, alg, publicKey, sessionId: undefined })
  const evidence = await collectEvidence(attesters, binding, activated)
  const completion = signCompletion(crypto, { name, kind, metadata, challenge, alg, seed, evidence })
  const path = `/v1/enrollments/${challenge.enrollmentId}/complete`
  let pass: string | undefined
  const answer = await http.post(path, completion, enrollmentAnswer, {
    ...repeatable,
    onPass: (given) => (pass = given),
  })
  const { tier, policyId, appraisedAt, expiresAt } = answer.attestation
  const remembered = attesters.flatMap(({ format, settings }) => (settings === undefined ? [] : [{ format, settings }]))
  await store.save({
    version: 1,
    revision: 1,
    serverUrl: http.url,
    deviceId: answer.deviceId,
    kind,
    name,
    spiffeId: checkSpiffeId(answer.spiffeId, trust),
    identity: { alg, seed, since: appraisedAt },
    trust: verifyAnswerTrust(crypto, trust, answer.trust),
    bucketFloor: 0,
    ...(pass === undefined ? {} : { pass }),
    attestation: { status: answer.status, tier, policyId, appraisedAt, expiresAt },
    ...(remembered.length === 0 ? {} : { attesters: remembered }),
  })
  seed.fill(0)
  return openDevice({ ...options, crypto })
}

/** Throws `token_invalid`; the message does not repeat the token. */
export function parseEnrollmentToken(text: string): { id: string; secret: string; pin: string } {
  const [id = '', secret = '', pin = '', ...rest] = text.trim().split('.')
  if (rest.length > 0 || !isUuid(id) || !isSecret(secret) || !kid.safeParse(pin).success) {
    throw new QflareError('token_invalid', 'An enrolment token is <id>.<secret>.<pin>, on one line, complete.')
  }
  return { id, secret, pin }
}

function isSecret(text: string): boolean {
  try {
    return fromBase64url(text, 32).length === 32
  } catch (error) {
    if (error instanceof ProtocolError) return false
    throw error
  }
}

/**
 * A credential for each attester that needs one, opened: what its evidence has besides, by format. Not tried again after a lost
 * answer: a challenge gives one credential.
 */
async function activateAttesters(
  http: HttpClient,
  { enrollmentId }: EnrollmentChallenge,
  attesters: readonly Attester[],
): Promise<Record<string, EvidenceJson>> {
  const activated: Record<string, EvidenceJson> = {}
  for (const attester of attesters) {
    const request = attester.credentialRequest?.bind(attester)
    const activate = attester.activate?.bind(attester)
    if (request === undefined || activate === undefined) continue
    const wanted = z.encode(credentialRequest, await ask(attester, () => request()))
    const credential = await http.post(`/v1/enrollments/${enrollmentId}/credential`, wanted, credentialAnswer)
    activated[attester.format] = await ask(attester, () => activate(credential))
  }
  return activated
}

function signCompletion(
  crypto: Primitives,
  enrollment: {
    name: string
    kind: PrincipalKind
    metadata: z.output<typeof deviceMetadata>
    challenge: EnrollmentChallenge
    alg: SignatureAlgorithm
    seed: Uint8Array
    evidence: EvidenceJson[]
  },
) {
  const { name, kind, challenge, alg, metadata, evidence } = enrollment
  const identityKey = crypto.importSigningKey(alg, enrollment.seed)
  const { publicKey } = identityKey
  const signed = enrollmentBytes({
    enrollmentId: challenge.enrollmentId,
    challenge: challenge.challenge,
    alg,
    publicKey,
    name,
    kind,
    evidenceDigest: evidenceDigest(crypto, evidence),
    trustDigest: trustDigest(crypto, challenge.trust),
  })
  const signature = identityKey.sign(signed, signatureContexts.enroll)
  return z.encode(enrollmentCompletion, { name, kind, identityKey: { alg, publicKey }, evidence, metadata, signature })
}

/** The bundle of the answer is the one that was signed, or a later one, which is taken when it follows directly. */
function verifyAnswerTrust(crypto: Primitives, held: TrustBundle, given: TrustBundle): TrustBundle {
  if (given.sequence === held.sequence + 1) return verifyNextTrustBundle(crypto, held, given)
  const same = crypto.equal(trustDigest(crypto, held), trustDigest(crypto, given))
  if (given.sequence < held.sequence || (given.sequence === held.sequence && !same)) {
    throw new ProtocolError(
      'trust_invalid',
      'The trust bundle of the answer is another one than that of the challenge.',
    )
  }
  return held
}

function checkSpiffeId(spiffeId: string, trust: TrustBundle): string {
  if (spiffeId.startsWith(`spiffe://${trust.trustDomain}/`) && /^[\w:/.-]{1,2048}$/.test(spiffeId)) return spiffeId
  throw new QflareError('bad_answer', `The SPIFFE ID is not one of the trust domain ${trust.trustDomain}.`)
}
