import { X509Certificate } from 'node:crypto'
import { malformedEvidence } from '../evidence-format.ts'
import { parseCertificate } from './parse-certificate.ts'
import { firstBroken, issuerRules } from './path-rules.ts'
import { findSignatureAlgorithm, isSignedBy } from './signature-algorithms.ts'

/** A certificate that other certificates may lead to. */
export interface Authority {
  lookupId: string
  /** Its issuer is itself. */
  isSelfIssued: boolean
  /** For people: not unique, and what the certificate says. */
  subject: string
  /** Milliseconds since the Unix epoch. */
  notBefore: number
  notAfter: number
}

/** All but how its own certificate is signed: where a path ends there, nobody asks that. */
const authorityRules = issuerRules.filter(({ check }) => check !== 'signature_algorithm')

/**
 * What an operator wants to trust: an authority to which the path validator lets a path lead, whose signature verifies where it is its
 * own issuer. Whether it is valid now is not asked: an appraisal has its own clock. Untrusted. Throws `evidence_malformed`.
 */
export function parseAuthority(der: Uint8Array): Authority {
  const certificate = parseCertificate(der)
  const { publicKey, subjectId, issuerId, signatureAlgorithm, notBefore, notAfter } = certificate
  const broken = firstBroken(authorityRules, { issuer: certificate, path: [certificate] }, { now: notBefore })
  if (broken !== undefined) {
    throw malformedEvidence(`No certificate could lead to this one (${broken.check}). ${broken.message}`)
  }
  const isSelfIssued = subjectId === issuerId
  const isKnown = findSignatureAlgorithm(signatureAlgorithm) !== undefined
  if (isSelfIssued && isKnown && !isSignedBy(certificate, publicKey)) {
    throw malformedEvidence('The certificate is its own issuer, and not signed by its key.')
  }
  return { lookupId: subjectId, isSelfIssued, subject: readSubject(der), notBefore, notAfter }
}

function readSubject(der: Uint8Array): string {
  try {
    return new X509Certificate(der).subject ?? ''
  } catch (cause) {
    throw malformedEvidence('The certificate is none that OpenSSL can read.', { cause })
  }
}
