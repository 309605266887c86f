import { X509Certificate } from 'node:crypto'
import { malformedEvidence } from '../evidence-format.ts'
import { parseCertificate } from './parse-certificate.ts'
import { findSignatureAlgorithm, isSignedBy, isStrongKey } from './signature-algorithms.ts'

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

/**
 * What an operator wants to trust: an authority, with a key that the verifier takes, whose signature verifies where it is its own issuer.
 * Whether it is valid now is not asked: an appraisal has its own clock. Untrusted. Throws `evidence_malformed`.
 */
export function parseAuthority(der: Uint8Array): Authority {
  const certificate = parseCertificate(der)
  const { isAuthority, keyUsage, publicKey, subjectId, issuerId, signatureAlgorithm, notBefore, notAfter } = certificate
  if (!isAuthority) throw malformedEvidence('The certificate is not one of a certificate authority.')
  if (keyUsage !== undefined && !keyUsage.includes('keyCertSign')) {
    throw malformedEvidence('The key of the certificate may not sign certificates.')
  }
  if (!isStrongKey(publicKey)) {
    throw malformedEvidence('The key of the certificate is neither RSA of 2048 to 8192 bits nor P-256, P-384 or P-521.')
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
