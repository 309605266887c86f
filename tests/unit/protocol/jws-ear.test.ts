import { describe, expect, it } from 'vitest'
import {
  EAR_LIFETIME_SECONDS,
  EAR_PROFILE,
  earClaims,
  type TrustworthinessTier,
} from '../../../protocol/attestation/ear.ts'
import { fromBase64url, type Json, toBase64url } from '../../../protocol/encoding.ts'
import { jwsSigningInput, toJwk, verifyJws } from '../../../protocol/jws.ts'
import { keyId } from '../../../protocol/key-id.ts'
import type { SigningKey } from '../../../protocol/primitives.ts'
import { type SignatureContext, signatureAlgorithmNames } from '../../../protocol/suites.ts'
import { seedOf } from '../../support/protocol-exchange.ts'
import { native as crypto, flipBit, providers, refusalOf, toUtf8 } from '../../support/protocol-providers.ts'

const key = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'attestation', 32))
const stranger = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'stranger', 32))
const verificationKey = crypto.importVerificationKey('ML-DSA-44', key.publicKey)
const kid = keyId(crypto, key.alg, key.publicKey)
const header = { alg: key.alg, kid, typ: 'JWT' }
const claims: Json = { sub: 'spiffe://fleet.example/device/1', iat: 1_795_318_200, text: 'é' }

const encodeText = (text: string) => toBase64url(toUtf8(text))
const sign = (input: string, by: SigningKey = key, context: SignatureContext = '') =>
  `${input}.${toBase64url(by.sign(toUtf8(input), context))}`
const signRaw = (rawHeader: string, rawClaims = '{}') => sign(`${encodeText(rawHeader)}.${encodeText(rawClaims)}`)
const refused = (jws: string) => refusalOf(() => verifyJws(crypto, jws, verificationKey))
const invalidSignature = { code: 'signature_invalid', message: 'The signature of the JWS is not valid.' }
const anotherKey = { code: 'signature_invalid', message: 'The JWS names another key.' }

const jws = sign(jwsSigningInput(header, claims))
const [headerPart, claimsPart, signaturePart] = jws.split('.') as [string, string, string]

describe('a JWS', () => {
  it.each(signatureAlgorithmNames)('by a key of %s gives its claims, on either provider', (alg) => {
    for (const [signer, verifier] of [providers, providers.toReversed()] as [typeof crypto, typeof crypto][]) {
      const signingKey = signer.importSigningKey(alg, seedOf(crypto, alg, 32))
      const input = jwsSigningInput({ alg, kid: keyId(signer, alg, signingKey.publicKey), typ: 'JWT' }, claims)
      const by = verifier.importVerificationKey(alg, signingKey.publicKey)
      expect(verifyJws(verifier, sign(input, signingKey), by)).toEqual(claims)
    }
  })

  it('is compact: canonical header and claims in base64url, joined by dots', () => {
    expect(Buffer.from(headerPart, 'base64url').toString()).toBe(`{"alg":"ML-DSA-44","kid":"${kid}","typ":"JWT"}`)
    expect(Buffer.from(claimsPart, 'base64url').toString()).toBe(
      '{"iat":1795318200,"sub":"spiffe://fleet.example/device/1","text":"é"}',
    )
  })

  it.each(['none', 'ML-DSA-65', 'ES256', 'ml-dsa-44', ''])('cannot choose its algorithm: alg %j is refused', (alg) => {
    expect(refused(signRaw(JSON.stringify({ ...header, alg })))).toEqual(anotherKey)
  })

  it('that names another key, or none, is refused, though the right key signed it', () => {
    const otherKid = keyId(crypto, stranger.alg, stranger.publicKey)
    for (const named of [{ alg: key.alg, kid: otherKid }, { alg: key.alg }, { kid }, {}, [], 1, 'text', true]) {
      expect(refused(signRaw(JSON.stringify(named)))).toEqual(anotherKey)
    }
  })

  it('with the header null is refused', () => {
    expect(refused(signRaw('null')).code).toBe('signature_invalid')
  })

  it('with a critical header that nobody here understands is refused (RFC 7515 §4.1.11)', () => {
    expect(refused(signRaw(JSON.stringify({ ...header, crit: ['exp'], exp: 0 }))).code).toBe('signature_invalid')
  })

  it('that another key signed under its name is refused', () => {
    expect(refused(sign(jwsSigningInput(header, claims), stranger))).toEqual(invalidSignature)
  })

  it('signed under any context is refused: RFC 9964 leaves it empty', () => {
    for (const context of ['QFLARE-v1 exchange', 'QFLARE-v1 trust'] as const) {
      expect(refused(sign(jwsSigningInput(header, claims), key, context))).toEqual(invalidSignature)
    }
  })

  it('with another bit in its claims or its signature is refused', () => {
    const otherClaims = encodeText(JSON.stringify({ sub: 'another' }))
    expect(refused(`${headerPart}.${otherClaims}.${signaturePart}`)).toEqual(invalidSignature)
    const signature = fromBase64url(signaturePart)
    for (const bit of [0, 5000, signature.length * 8 - 1]) {
      expect(refused(`${headerPart}.${claimsPart}.${toBase64url(flipBit(signature, bit))}`)).toEqual(invalidSignature)
    }
  })

  it.each([
    ['nothing', ''],
    ['one part', headerPart],
    ['no signature', `${headerPart}.${claimsPart}`],
    ['an empty signature', `${headerPart}.${claimsPart}.`],
    ['no claims', `${headerPart}..${signaturePart}`],
    ['a fourth part', `${jws}.`],
    ['JSON serialization', JSON.stringify({ payload: claimsPart, signatures: [] })],
    ['padding in its header', `${headerPart}=.${claimsPart}.${signaturePart}`],
    ['a header that is not JSON', signRaw('{')],
    ['a header that is not UTF-8', `${toBase64url(Uint8Array.of(0x22, 0xff, 0x22))}.${claimsPart}.${signaturePart}`],
    ['claims that are not JSON', signRaw(JSON.stringify(header), 'text')],
    ['padding in its signature', `${jws}=`],
    ['a signature that is not base64url', `${headerPart}.${claimsPart}.+${signaturePart.slice(1)}`],
    ['a line feed after it', `${jws}\n`],
    ['white space before it', ` ${jws}`],
  ])('of %s is refused', (_, text) => {
    expect(refused(text).code).toBe('signature_invalid')
  })
})

describe('a JWK', () => {
  it.each(signatureAlgorithmNames)('of %s is an AKP key with its kid and its public key (RFC 9964)', (alg) => {
    const { publicKey } = crypto.importSigningKey(alg, seedOf(crypto, alg, 32))
    const jwk = { kty: 'AKP', alg, kid: keyId(crypto, alg, publicKey), pub: toBase64url(publicKey) }
    expect(toJwk(crypto, { alg, publicKey })).toEqual(jwk)
  })
})

describe('a key id', () => {
  it('is 22 characters and another for any other algorithm or key', () => {
    const ids = [
      keyId(crypto, 'ML-DSA-44', key.publicKey),
      keyId(crypto, 'ML-DSA-65', key.publicKey),
      keyId(crypto, 'ML-KEM-1024', key.publicKey),
      keyId(crypto, 'ML-DSA-44', flipBit(key.publicKey, 9999)),
      keyId(crypto, 'ML-DSA-44', key.publicKey.subarray(1)),
    ]
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.every((id) => /^[\w-]{21}[AQgw]$/.test(id))).toBe(true)
  })
})

describe('the claims of an attestation result', () => {
  const identityKey = toJwk(crypto, { alg: 'ML-DSA-44', publicKey: stranger.publicKey })
  const claimsAt = (appraisedAt: number, tier: TrustworthinessTier = 'affirming') =>
    earClaims({
      verifier: { developer: 'https://qflare.example', build: '0.1.0' },
      spiffeId: 'spiffe://fleet.example/device/1',
      identityKey,
      appraisedAt,
      tier,
      appraisals: {
        tpm2: { tier: 'affirming', vector: { hardware: 2, executables: 3 } },
        none: { tier, vector: {} },
      },
      policyId: 'edge@3',
    })

  it('name profile, verifier, device, key, tier and each piece of evidence', () => {
    expect(claimsAt(1_795_318_200_000, 'warning')).toEqual({
      eat_profile: EAR_PROFILE,
      iat: 1_795_318_200,
      exp: 1_795_318_800,
      sub: 'spiffe://fleet.example/device/1',
      cnf: { jwk: identityKey },
      ear_verifier_id: { developer: 'https://qflare.example', build: '0.1.0' },
      ear_status: 'warning',
      submods: {
        tpm2: {
          ear_status: 'affirming',
          ear_trustworthiness_vector: { hardware: 2, executables: 3 },
          ear_appraisal_policy_ids: ['edge@3'],
        },
        none: { ear_status: 'warning', ear_appraisal_policy_ids: ['edge@3'] },
      },
    })
  })

  it('live ten minutes from the second in which the evidence was appraised, and never longer', () => {
    expect(EAR_LIFETIME_SECONDS).toBe(600)
    for (const [appraisedAt, iat] of [
      [1_795_318_200_999, 1_795_318_200],
      [1_795_318_201_000, 1_795_318_201],
    ] as const) {
      expect(claimsAt(appraisedAt)).toMatchObject({ iat, exp: iat + 600 })
    }
  })

  it('survive being signed and verified', () => {
    const result = claimsAt(1_795_318_200_000)
    expect(verifyJws(crypto, sign(jwsSigningInput(header, result)), verificationKey)).toEqual(result)
  })

  it('do not change when the verifier’s or the key’s object changes afterwards', () => {
    const jwk = { ...identityKey }
    const verifier = { developer: 'a', build: 'b' }
    const result = earClaims({
      verifier,
      identityKey: jwk,
      spiffeId: 's',
      appraisedAt: 0,
      tier: 'none',
      appraisals: {},
      policyId: 'none',
    })
    jwk.pub = 'another'
    verifier.build = 'another'
    expect(result).toMatchObject({ cnf: { jwk: identityKey }, ear_verifier_id: { build: 'b' } })
  })
})
