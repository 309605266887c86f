// The protocol of QFLARE, a client's side, written from docs/protocol.md and docs/api.md alone: it shares no code with the
// repository and uses nothing but Node's builtins. "§" means a section of docs/protocol.md, "api" means docs/api.md.
import crypto from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

export const base = (process.argv[2] ?? '').replace(/\/$/, '')
export const identityAlg = process.argv[3] ?? 'ML-DSA-44'
export const SUITE = 'ML-KEM-1024'
export const BUCKET_MS = 300_000 // §2
const PUBLIC_KEY_BYTES = { 'ML-DSA-44': 1312, 'ML-DSA-65': 1952, 'ML-DSA-87': 2592, 'ML-KEM-1024': 1568 }
export const checks = []

export function must(condition, message) {
  if (!condition) throw new Error(message)
}
export function checked(condition, what) {
  must(condition, `not so: ${what}`)
  checks.push(what)
}

// ---- §1 Notation ----------------------------------------------------------------------------------------------------
export const text = (value) => Buffer.from(value, 'utf8')
export function u64(n) {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(n))
  return out
}
function lp(x) {
  const bytes = typeof x === 'string' ? text(x) : x
  return Buffer.concat([u64(bytes.length).subarray(4), bytes])
}
export const E = (...parts) => Buffer.concat(parts.map(lp))
/** The 16 raw bytes that a UUID is inside E. */
export function uuid(value) {
  must(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value), `not a canonical UUID: ${value}`)
  return Buffer.from(value.replaceAll('-', ''), 'hex')
}
const uuidText = (bytes) => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
export const H = (data) => crypto.hash('sha3-512', data, 'buffer')
export const H256 = (data) => crypto.hash('sha3-256', data, 'buffer')
const HMAC = (key, data) => crypto.createHmac('sha3-512', key).update(data).digest()
/** RFC 5869 Extract, and Expand for the one length the protocol uses: 64 bytes, one block of SHA3-512. */
const extract = (salt, ikm) => HMAC(salt, ikm)
const expand64 = (prk, info) => HMAC(prk, Buffer.concat([info, Buffer.of(1)]))
export const b64 = (bytes) => Buffer.from(bytes).toString('base64url')
/** Strict: the only accepted text is the one that encoding gives back. */
export function unb64(value, length, what) {
  const bytes = Buffer.from(String(value), 'base64url')
  must(bytes.toString('base64url') === value, `${what} is not canonical base64url`)
  must(length === undefined || bytes.length === length, `${what} has ${bytes.length} bytes, not ${length}`)
  return bytes
}
/** RFC 8785 for what occurs here: objects, arrays, text, integers, booleans, null. */
export function jcs(value) {
  if (Array.isArray(value)) return `[${value.map(jcs).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const members = Object.keys(value).sort() // by UTF-16 code units, as RFC 8785 wants
  return `{${members.map((k) => `${JSON.stringify(k)}:${jcs(value[k])}`).join(',')}}`
}
export const kidOf = (alg, publicKey) => b64(H256(E('QFLARE-v1 kid', alg, publicKey)).subarray(0, 16))
function importPublic(alg, raw) {
  must(raw.length === PUBLIC_KEY_BYTES[alg], `a public key of ${alg} has ${raw.length} bytes`)
  if (alg.startsWith('ML-DSA')) must(!raw.subarray(32).every((b) => b === 0), 'an ML-DSA key whose t1 is all zero')
  return crypto.createPublicKey({ key: raw, format: 'raw-public', asymmetricKeyType: alg.toLowerCase() })
}
/** A private key from its seed, with its raw public key. */
export function keyPair(alg, seed) {
  const key = crypto.createPrivateKey({ key: seed, format: 'raw-seed', asymmetricKeyType: alg.toLowerCase() })
  return { key, publicKey: crypto.createPublicKey(key).export({ format: 'raw-public' }) }
}
export const Sign = (key, message, context) => crypto.sign(null, message, { key, context: text(context) })
export function Verify(key, message, context, signature, what) {
  const bytes = unb64(signature, undefined, `the signature of ${what}`)
  must(crypto.verify(null, message, { key, context: text(context) }, bytes), `the signature of ${what} is wrong`)
}

// ---- HTTP (api, Conventions) ----------------------------------------------------------------------------------------
export async function call(method, path, { body, bearer, expect = 200 } = {}) {
  const headers = { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) }
  const payload = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(base + path, { method, headers, redirect: 'error', ...payload })
  const answer = await response.text()
  must(response.status === expect, `${method} ${path}: ${response.status}, not ${expect}: ${answer.slice(0, 500)}`)
  return { data: answer === '' ? undefined : JSON.parse(answer), location: response.headers.get('location') }
}
/** §1: unknown members are refused; here every member that the documents name must be there as well. */
export function shape(value, names, what) {
  const got = Object.keys(value ?? {}).sort()
  must(
    isDeepStrictEqual(got, names.split(' ').sort()),
    `${what} has the members ${got.join(' ')}; documented: ${names}`,
  )
}

// ---- §3 Trust bundle, §8 its signature ------------------------------------------------------------------------------
export function checkBundle(bundle, pin) {
  shape(bundle, 'trustDomain sequence keys signatures', 'the trust bundle')
  const keys = new Map()
  for (const record of bundle.keys) {
    shape(record, 'kid alg publicKey use notBefore notAfter', 'a key of the trust bundle')
    const publicKey = unb64(record.publicKey, PUBLIC_KEY_BYTES[record.alg], 'a trust key')
    must(record.kid === kidOf(record.alg, publicKey), `the kid ${record.kid} is not that of its key`)
    must(['root', 'bucket', 'audit', 'attestation'].includes(record.use), `unknown use ${record.use}`)
    const alive = record.notBefore <= Date.now() && Date.now() < record.notAfter
    keys.set(record.kid, { use: alive ? record.use : 'none', key: importPublic(record.alg, publicKey) })
  }
  const root = keys.get(pin)
  checked(root?.use === 'root', 'the pin of the enrolment token is a root key of the trust bundle')
  const signature = bundle.signatures.find((s) => s.kid === pin)?.signature
  const signed = E('QFLARE-v1 trust', bundle.trustDomain, u64(bundle.sequence), jcs(bundle.keys))
  Verify(root.key, signed, 'QFLARE-v1 trust', signature, 'the trust bundle')
  checks.push('the trust bundle is signed by the pinned root key')
  return { keys, digest: H(signed), pin, bundle } // trustDigest is H of the very bytes that are signed
}

// ---- §3 Enrolment ---------------------------------------------------------------------------------------------------
export async function enrol(enrollmentToken, kind = 'device') {
  const [id, secret, pin] = enrollmentToken.split('.')
  const { data: begun } = await call('POST', '/v1/enrollments', { body: { token: `${id}.${secret}` }, expect: 201 })
  shape(begun, 'enrollmentId challenge expiresAt policy trust', 'the begun enrolment')
  shape(begun.policy, 'evidence identityAlgorithms', 'the policy')
  checked(begun.policy.identityAlgorithms.includes(identityAlg), `the policy takes ${identityAlg}`)
  const trust = checkBundle(begun.trust, pin)

  const seed = crypto.randomBytes(32)
  const { key, publicKey } = keyPair(identityAlg, seed)
  const name = `independent-${crypto.randomBytes(5).toString('hex')}`
  const evidence = [{ format: 'none' }]
  const evidenceDigest = H(E('QFLARE-v1 evidence', jcs(evidence)))
  const begin = [uuid(begun.enrollmentId), unb64(begun.challenge, 32, 'the challenge')]
  const claim = [identityAlg, publicKey, name, kind, evidenceDigest, trust.digest]
  const signature = b64(Sign(key, E('QFLARE-v1 enroll', ...begin, ...claim), 'QFLARE-v1 enroll'))
  const identityKey = { alg: identityAlg, publicKey: b64(publicKey) }
  const body = { name, kind, identityKey, evidence, metadata: {}, signature }
  const complete = () => call('POST', `/v1/enrollments/${begun.enrollmentId}/complete`, { body, expect: 201 })
  const { data: answer } = await complete()
  shape(answer, 'deviceId spiffeId status attestation trust', 'the enrolment')
  shape(answer.attestation, 'id tier policyId appraisedAt expiresAt ear', 'the attestation')
  checked(answer.status === 'ACTIVE' && answer.attestation.tier === 'none', 'enrolled: status ACTIVE, tier none')
  checked(isDeepStrictEqual(answer.trust, begun.trust), 'the enrolment answers with the bundle it began with')
  return { id: answer.deviceId, name, seed, key, kid: kidOf(identityAlg, publicKey), trust, answer, complete }
}

/** §8: the EAR is a JWS (RFC 9964) with an empty context; its key is in the JWKS and, of use attestation, in the bundle. */
export async function checkEar(device) {
  const { data: jwks } = await call('GET', '/.well-known/jwks.json')
  const [protectedHeader, payload, signature] = device.answer.attestation.ear.split('.')
  const header = JSON.parse(unb64(protectedHeader, undefined, 'the header of the EAR'))
  const jwk = jwks.keys.find((k) => k.kid === header.kid)
  shape(jwk, 'kty alg kid pub use', `the JWK ${header.kid}`)
  must(jwk.kty === 'AKP' && jwk.use === 'sig' && jwk.alg === header.alg && !header.crit, 'the JWK does not fit the EAR')
  const raw = unb64(jwk.pub, PUBLIC_KEY_BYTES[jwk.alg], 'the public key in the JWKS')
  Verify(importPublic(jwk.alg, raw), text(`${protectedHeader}.${payload}`), '', signature, 'the EAR')
  checks.push('the EAR verifies against the JWKS')
  const use = device.trust.keys.get(kidOf(jwk.alg, raw))?.use
  checked(use === 'attestation', 'the key of the EAR is an attestation key of the bundle')
}

// ---- §2 Time buckets ------------------------------------------------------------------------------------------------
function checkCertificate(item, trust) {
  shape(item, 'suite bucket notBefore notAfter publicKey kid signature', 'a bucket certificate')
  const { suite, bucket, notBefore, notAfter, kid } = item
  must(notBefore === bucket * BUCKET_MS && notAfter === notBefore + BUCKET_MS, 'a bucket certificate has wrong times')
  const signer = trust.keys.get(kid)
  must(signer?.use === 'bucket', 'a certificate is not signed by a bucket key of the bundle')
  const ek = unb64(item.publicKey, PUBLIC_KEY_BYTES[SUITE], 'a bucket key')
  const certificate = E('QFLARE-v1 bucket', suite, u64(bucket), u64(notBefore), u64(notAfter), kid, ek)
  Verify(signer.key, certificate, 'QFLARE-v1 bucket', item.signature, 'a bucket certificate')
  return { bucket, notBefore, notAfter, certificate, ek }
}
export async function currentBucket(trust) {
  const { data } = await call('GET', '/v1/buckets')
  shape(data, 'certificates graceMs skewMs', 'the buckets')
  const all = data.certificates.filter((c) => c.suite === SUITE).map((c) => checkCertificate(c, trust))
  checked(all.length === 2 && Math.abs(all[1].bucket - all[0].bucket) === 1, 'two neighbouring bucket certificates')
  const current = all.find((c) => c.notBefore <= Date.now() && Date.now() < c.notAfter)
  checked(current !== undefined, "the device's clock is inside the window of a certificate")
  return current
}

// ---- §4 Exchange ----------------------------------------------------------------------------------------------------
export async function exchange(device, { bucket, certificate, ek }) {
  const ephemeral = keyPair(SUITE, H(E('QFLARE-v1 hedge', crypto.randomBytes(64), device.seed))) // §4, the goals
  const nonce = crypto.randomBytes(32)
  const toServer = crypto.encapsulate(importPublic(SUITE, ek)) // ct_S and ss_S
  const head = [SUITE, uuid(device.id), u64(bucket), H(certificate), nonce]
  const th1 = H(E('QFLARE-v1 initiate', ...head, ephemeral.publicKey, toServer.ciphertext))
  const signature = Sign(device.key, th1, 'QFLARE-v1 exchange')
  const sent = { nonce, clientKey: ephemeral.publicKey, ciphertext: toServer.ciphertext, signature }
  const binary = Object.fromEntries(Object.entries(sent).map(([k, v]) => [k, b64(v)]))
  const body = { deviceId: device.id, suite: SUITE, bucket, ...binary }
  const { data: answer, location } = await call('POST', '/v1/exchanges', { body, expect: 201 })
  shape(answer, 'sessionId nonce ciphertext expiresAt confirmation', 'the exchange')

  const id = Buffer.concat([u64(bucket * BUCKET_MS).subarray(2), th1.subarray(0, 10)])
  id[6] = (id[6] & 0x0f) | 0x80
  id[8] = (id[8] & 0x3f) | 0x80
  const sessionId = uuidText(id)
  checked(answer.sessionId === sessionId, 'the session id is the one that th1 gives')
  checked(location?.endsWith(`/v1/sessions/${sessionId}`), 'Location names the session')
  const ctD = unb64(answer.ciphertext, 1568, 'the ciphertext of the server')
  const nonceS = unb64(answer.nonce, 32, 'the nonce of the server')
  const th2 = H(E('QFLARE-v1 respond', th1, signature, id, nonceS, ctD, u64(answer.expiresAt)))
  const ssD = crypto.decapsulate(ephemeral.key, ctD)
  const prk = extract(th2, Buffer.concat([lp(toServer.sharedKey), lp(ssD)]))
  const tagS = HMAC(expand64(prk, E('QFLARE-v1 server confirm', th2)), th2)
  const got = unb64(answer.confirmation, 64, 'the confirmation of the server')
  checked(crypto.timingSafeEqual(tagS, got), 'tagS: the server holds the bucket key')
  const chain = expand64(prk, E('QFLARE-v1 chain', th2, u64(bucket)))
  const tagD = HMAC(expand64(prk, E('QFLARE-v1 device confirm', th2)), H(E('QFLARE-v1 confirm', th2, tagS)))
  return { id, sessionId, expiresAt: answer.expiresAt, bucket, chain, tagD, body }
}
export async function confirm(device, { sessionId, expiresAt, tagD }) {
  const body = { deviceId: device.id, confirmation: b64(tagD) }
  const { data } = await call('POST', `/v1/exchanges/${sessionId}/confirm`, { body })
  shape(data, 'sessionId status expiresAt accessToken accessTokenExpiresAt', 'the confirmation')
  const same = data.sessionId === sessionId && data.expiresAt === expiresAt
  checked(same && data.status === 'ACTIVE', 'the confirmed session is ACTIVE, with the expiresAt that th2 covers')
  return data
}

// ---- §5 Epochs and communication keys -------------------------------------------------------------------------------
export const ratchet = (chain, next) => expand64(chain, E('QFLARE-v1 ratchet', u64(next)))
export const commKey = (session, chain, epoch, purpose, context = Buffer.alloc(0)) =>
  expand64(chain, E('QFLARE-v1 comm', session.id, u64(epoch), purpose, context))
/** The epoch of the clock, never before the session's first, and its chain key. */
export function epochNow(session) {
  const epoch = Math.max(session.bucket, Math.floor(Date.now() / BUCKET_MS))
  let chain = session.chain
  for (let e = session.bucket + 1; e <= epoch; e++) chain = ratchet(chain, e)
  return { epoch, chain }
}

/** §4, Access tokens: renewal with a proof under the epoch's key of purpose `token`. */
export async function renew(device, session) {
  const { epoch, chain } = epochNow(session)
  const nonce = crypto.randomBytes(32)
  const key = commKey(session, chain, epoch, 'token', nonce)
  const proof = b64(HMAC(key, E('QFLARE-v1 token', session.id, u64(epoch), nonce)))
  const body = { deviceId: device.id, epoch, nonce: b64(nonce), proof }
  const path = `/v1/sessions/${session.sessionId}/tokens`
  const { data } = await call('POST', path, { body, expect: 201 })
  shape(data, 'accessToken accessTokenExpiresAt', 'the renewal')
  const again = await call('POST', path, { body, expect: 409 })
  checked(again.data.code === 'replayed', 'the nonce of a renewal works once')
  return data.accessToken
}
export async function useToken(device, session, bearer, which) {
  const { data: own } = await call('GET', `/v1/devices/${device.id}`, { bearer })
  const known = own.id === device.id && own.name === device.name && own.identityKey.kid === device.kid
  checked(known && own.activeSessionId === session.sessionId, `the ${which} access token fetches the device`)
  const { data: it } = await call('GET', `/v1/sessions/${session.sessionId}`, { bearer })
  shape(it, 'id deviceId state suite bucket createdAt confirmedAt expiresAt epochs', 'the session')
  const same = it.id === session.sessionId && it.deviceId === device.id && it.expiresAt === session.expiresAt
  checked(same && it.state === 'ACTIVE' && it.epochs.first === session.bucket, `the ${which} one fetches the session`)
}
