import { readFileSync } from 'node:fs'
import type { Json } from '../../protocol/encoding.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { SignatureAlgorithm, Suite } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'

/** tests/vectors/qflare/exchange-v1.json; binary fields are base64url text. */
export interface OwnVectors {
  seeds: Record<
    'serverSigningKey' | 'deviceIdentityKey' | 'auditKey' | 'rootKey' | 'bucketKey' | 'ephemeralKey',
    string
  >
  keyIds: Record<'server' | 'device' | 'audit' | 'root', string>
  bucketCertificate: {
    suite: Suite
    bucket: number
    notBefore: number
    notAfter: number
    kid: string
    publicKey: string
    bytes: string
    signature: string
  }
  enrolment: {
    enrollmentId: string
    challenge: string
    alg: SignatureAlgorithm
    name: string
    kind: PrincipalKind
    evidence: Json
    evidenceJcs: string
    evidenceDigest: string
    trustDigest: string
    attestBinding: string
    attestBindingOnSession: string
    bytes: string
    signature: string
  }
  exchange: { expiresAt: number } & Record<
    | 'deviceId'
    | 'nonceD'
    | 'clientKey'
    | 'ciphertextS'
    | 'sharedSecretS'
    | 'th1'
    | 'signature'
    | 'sessionId'
    | 'nonceS'
    | 'ciphertextD'
    | 'sharedSecretD'
    | 'th2'
    | 'prk'
    | 'serverConfirmKey'
    | 'deviceConfirmKey'
    | 'serverConfirmation'
    | 'deviceConfirmation',
    string
  >
  epochs: { epoch: number; round: number } & Record<
    | 'chain'
    | 'nextChain'
    | 'encryption'
    | 'signing'
    | 'nextEncryption'
    | 'federationId'
    | 'roundContext'
    | 'roundKey'
    | 'tokenNonce'
    | 'tokenProof',
    string
  >
  audit: {
    origin: string
    events: Json[]
    leavesJcs: string[]
    leafHashes: string[]
    root: string
    inclusionPathOf2: string[]
    timestampSeconds: number
    checkpoint: string
  }
  trust: { trustDomain: string; sequence: number; keys: TrustKey[]; bytes: string; signature: string }
  refusedBase64url: string[]
}

const path = new URL('../vectors/qflare/exchange-v1.json', import.meta.url)

export const ownVectors = JSON.parse(readFileSync(path, 'utf8')) as OwnVectors
