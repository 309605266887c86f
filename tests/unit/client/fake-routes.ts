import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import { toBase64url, uuidToBytes } from '../../../protocol/encoding.ts'
import {
  enrollmentAnswer,
  enrollmentBytes,
  enrollmentChallenge,
  enrollmentCompletion,
  evidenceDigest,
  type PrincipalKind,
} from '../../../protocol/enrollment.ts'
import { bucketAt, GRACE_MS, isBucketAccepted, SKEW_MS } from '../../../protocol/exchange/bucket.ts'
import { ratchet, tokenProof } from '../../../protocol/exchange/epochs.ts'
import {
  bucketsAnswer,
  confirmAnswer,
  confirmRequest,
  exchangeAnswer,
  exchangeRequest,
  tokenRequest,
} from '../../../protocol/exchange/messages.ts'
import { respondToExchange } from '../../../protocol/exchange/respond.ts'
import { initiateHash, sessionIdOf } from '../../../protocol/exchange/transcript.ts'
import type { Primitives, VerificationKey } from '../../../protocol/primitives.ts'
import { signatureContexts } from '../../../protocol/suites.ts'
import { trustBundle, trustDigest } from '../../../protocol/trust.ts'
import { type Answer, refusal } from './fake-answer.ts'
import { type FakeAuthority, newUuid } from './fake-authority.ts'
import { createFakeOperator, type FakeDevice } from './fake-operator.ts'

interface TokenLimits {
  kind: PrincipalKind
  name: string | undefined
}

export interface FakeSession {
  deviceId: string
  bucket: number
  chain: Uint8Array
  expectedConfirmation: Uint8Array
  expiresAt: number
  active: boolean
}

const SESSION_MS = 3_600_000
/** One request in, one answer out; what it keeps is in memory. */
export function createFakeRoutes(crypto: Primitives, authority: FakeAuthority, now: () => number) {
  const tokens = new Map<string, TokenLimits | undefined>()
  const challenges = new Map<
    string,
    { token: string; challenge: Uint8Array; answer: Answer | undefined; body: string }
  >()
  const devices = new Map<string, FakeDevice>()
  const identities = new Map<string, VerificationKey>()
  const sessions = new Map<string, FakeSession>()

  function newToken(limits?: TokenLimits): string {
    const token = `${newUuid(crypto)}.${toBase64url(crypto.randomBytes(32))}`
    tokens.set(token, limits)
    return `${token}.${authority.pin}`
  }

  function newestBundle() {
    return authority.bundles.at(-1) as (typeof authority.bundles)[number]
  }

  function startEnrollment(body: unknown): Answer {
    const { token } = z.strictObject({ token: z.string() }).parse(body)
    if (!tokens.has(token)) return refusal(401, 'enrollment_refused')
    const enrollmentId = newUuid(crypto)
    const challenge = crypto.randomBytes(32)
    challenges.set(enrollmentId, { token, challenge, answer: undefined, body: '' })
    const json = z.encode(enrollmentChallenge, {
      enrollmentId,
      challenge,
      expiresAt: now() + 300_000,
      policy: { evidence: ['none'], identityAlgorithms: ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] },
      trust: newestBundle(),
    })
    return { status: 201, json }
  }

  function completeEnrollment(enrollmentId: string, body: unknown): Answer {
    const held = challenges.get(enrollmentId)
    if (held === undefined) return refusal(409, 'challenge_expired')
    if (held.answer !== undefined && held.body === JSON.stringify(body)) return held.answer
    const { name, kind, identityKey, evidence, metadata, signature } = enrollmentCompletion.parse(body)
    const limits = tokens.get(held.token)
    if (limits !== undefined && (limits.kind !== kind || (limits.name ?? name) !== name)) {
      return refusal(403, 'kind_mismatch')
    }
    if (!tokens.delete(held.token)) return refusal(401, 'enrollment_refused')
    const key = crypto.importVerificationKey(identityKey.alg, identityKey.publicKey)
    const signed = enrollmentBytes({
      enrollmentId,
      challenge: held.challenge,
      ...identityKey,
      name,
      kind,
      evidenceDigest: evidenceDigest(crypto, evidence),
      trustDigest: trustDigest(crypto, newestBundle()),
    })
    if (!key.verify(signed, signatureContexts.enroll, signature)) return refusal(409, 'trust_mismatch')
    const deviceId = newUuid(crypto)
    identities.set(deviceId, key)
    const spiffeId = `spiffe://test.qflare/default/${kind}/${deviceId}`
    devices.set(deviceId, {
      id: deviceId,
      name,
      kind,
      status: 'ACTIVE',
      spiffeId,
      identityKey: {
        kid: 'k',
        alg: identityKey.alg,
        publicKey: toBase64url(identityKey.publicKey),
        since: now(),
        rotationDueSince: null,
      },
      activeSessionId: null,
      metadata,
      createdAt: now(),
      lastSeenAt: null,
    })
    const json = z.encode(enrollmentAnswer, {
      deviceId,
      spiffeId,
      status: 'ACTIVE',
      attestation: { id: deviceId, tier: 'none', policyId: 'none', appraisedAt: now(), expiresAt: now(), ear: 'a.b.c' },
      trust: newestBundle(),
    })
    held.body = JSON.stringify(body)
    held.answer = { status: 201, json }
    return held.answer
  }

  function openExchange(body: unknown): Answer {
    const request = exchangeRequest.parse(body)
    if (!isBucketAccepted(request.bucket, now())) return refusal(409, 'bucket_out_of_window', { now: now() })
    const { certificate, key } = authority.bucket(request.bucket)
    const th1 = initiateHash(crypto, request, certificate)
    const sessionId = sessionIdOf(request.bucket, th1)
    if (sessions.has(sessionId)) return refusal(409, 'replayed')
    const identity = identities.get(request.deviceId)
    if (devices.get(request.deviceId)?.status === 'REVOKED') return refusal(401, 'exchange_refused')
    if (identity?.verify(th1, signatureContexts.exchange, request.signature) !== true) {
      return refusal(401, 'exchange_refused')
    }
    const clientKey = crypto.importEncapsulationKey(request.suite, request.clientKey)
    const expiresAt = now() + SESSION_MS
    const responded = respondToExchange(crypto, { request, th1, sessionId, clientKey, bucketKey: key, expiresAt })
    const { deviceId, bucket } = request
    const { chain, expectedConfirmation } = responded
    sessions.set(sessionId, { deviceId, bucket, chain, expectedConfirmation, expiresAt, active: false })
    return { status: 201, json: z.encode(exchangeAnswer, responded.answer) }
  }

  function confirmExchange(sessionId: string, body: unknown): Answer {
    const { confirmation } = confirmRequest.parse(body)
    const session = sessions.get(sessionId)
    if (session === undefined) return refusal(404, 'not_found')
    if (!crypto.equal(confirmation, session.expectedConfirmation)) return refusal(401, 'confirmation_refused')
    session.active = true
    const json = z.encode(confirmAnswer, {
      sessionId,
      status: 'ACTIVE',
      expiresAt: session.expiresAt,
      accessToken: `access-${sessionId}`,
      accessTokenExpiresAt: now() + 300_000,
    })
    return { status: 200, json }
  }

  function renewToken(sessionId: string, body: unknown): Answer {
    const { epoch, nonce, proof } = tokenRequest.parse(body)
    const session = sessions.get(sessionId)
    if (session?.active !== true) return refusal(401, 'unauthenticated')
    const expected = tokenProof(crypto, chainOf(session, epoch), { sessionId, epoch, nonce })
    if (!crypto.equal(proof, expected)) return refusal(401, 'unauthenticated')
    const accessToken = `renewed-${toBase64url(uuidToBytes(sessionId))}-${epoch}`
    return { status: 201, json: { accessToken, accessTokenExpiresAt: now() + 300_000 } }
  }

  function chainOf(session: FakeSession, epoch: number): Uint8Array {
    let { chain } = session
    for (let at = session.bucket; at < epoch; at++) chain = ratchet(crypto, chain, at)
    return chain
  }

  function buckets(): Answer {
    const current = bucketAt(now())
    const certificates = [current, current + 1].map((bucket) => authority.bucket(bucket).certificate)
    return { status: 200, json: z.encode(bucketsAnswer, { certificates, graceMs: GRACE_MS, skewMs: SKEW_MS }) }
  }

  function laterBundles(after: number): Answer {
    const items = authority.bundles.filter(({ sequence }) => sequence > after)
    return { status: 200, json: { items: items.map((item) => z.encode(trustBundle, item)), nextCursor: null } }
  }

  const operator = createFakeOperator({ newToken, devices, now })

  function answer(line: string, body: unknown, headers: IncomingHttpHeaders): Answer {
    const [, path = ''] = line.split(' ')
    const id = path.split('/')[3] ?? ''
    if (line.startsWith('GET /v1/trust?after=')) return laterBundles(Number(line.split('=')[1]))
    if (line === 'GET /v1/buckets') return buckets()
    if (line === 'GET /ready') return { status: 200, json: { status: 'ready', checks: { database: { ok: true } } } }
    if (line === 'POST /v1/enrollments') return startEnrollment(body)
    if (/^POST \/v1\/enrollments\/[^/]+\/complete$/.test(line)) return completeEnrollment(id, body)
    if (line === 'POST /v1/exchanges') return openExchange(body)
    if (/^POST \/v1\/exchanges\/[^/]+\/confirm$/.test(line)) return confirmExchange(id, body)
    if (/^POST \/v1\/sessions\/[^/]+\/tokens$/.test(line)) return renewToken(id, body)
    return operator.answer(line, body, headers) ?? refusal(404, 'not_found')
  }

  return { answer, devices, newToken, sessions, chainOf }
}
