import { extensionIds, type ParsedCertificate } from './parse-certificate.ts'
import { findSignatureAlgorithm, isMlDsaKey, isStrongKey } from './signature-algorithms.ts'

/** What can be wrong with a path: the last part of the name of a check (docs/attestation-formats.md). */
export const pathChecks = [
  'anchor',
  'authority',
  'certificate_signing',
  'critical_extension',
  'extended_key_usage',
  'key',
  'key_usage',
  'leaf',
  'length',
  'name_constraints',
  'path_length',
  'signature',
  'signature_algorithm',
  'validity',
] as const
export type PathCheck = (typeof pathChecks)[number]

export type KeyUse = NonNullable<ParsedCertificate['keyUsage']>[number]

/** What the certificates of a path are measured by. */
export interface PathTerms {
  /** Milliseconds since the Unix epoch. */
  now: number
  /** The leaf has to have it by name; those of its issuers that have any have to have it, or `anyExtendedKeyUsage`. */
  leafExtendedKeyUsage?: string
  /** The leaf has to have it. */
  leafKeyUsage?: KeyUse
  /** By OID: the extensions of the leaf that the caller understands and looks at. */
  criticalLeafExtensions?: readonly string[]
  /** The leaf's key may be one of ML-DSA too. What the leaf is signed with is another question. */
  mlDsaLeaf?: boolean
  /** When the leaf is valid is not looked at: for leaves that are made by the device itself, with its own clock. */
  anyLeafValidity?: boolean
}

/** A certificate that may have signed the last one of `path`, which goes from the leaf upwards. */
export interface Step {
  issuer: ParsedCertificate
  path: readonly [ParsedCertificate, ...ParsedCertificate[]]
}

interface Rule<Subject> {
  check: PathCheck
  message: string
  holds(subject: Subject, terms: PathTerms): boolean
}

const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0'

/** Certificate policies demand nothing of a path for which no policy is asked (RFC 5280 §6.1.1). */
const understood: readonly string[] = [
  extensionIds.basicConstraints,
  extensionIds.certificatePolicies,
  extensionIds.extendedKeyUsage,
  extensionIds.keyUsage,
]

export const leafRules: readonly Rule<ParsedCertificate>[] = [
  {
    check: 'leaf',
    message: 'The certificate is that of an authority.',
    holds: ({ isAuthority }) => !isAuthority,
  },
  {
    check: 'critical_extension',
    message: 'The certificate has a critical extension that is not understood.',
    holds: ({ criticalExtensions }, { criticalLeafExtensions = [] }) =>
      criticalExtensions.every((id) => understood.includes(id) || criticalLeafExtensions.includes(id)),
  },
  {
    check: 'key_usage',
    message: 'The key of the certificate is for another use.',
    holds: ({ keyUsage }, { leafKeyUsage }) => leafKeyUsage === undefined || keyUsage?.includes(leafKeyUsage) === true,
  },
  {
    check: 'extended_key_usage',
    message: 'The certificate is for another purpose.',
    holds: ({ extendedKeyUsage }, { leafExtendedKeyUsage: wanted }) =>
      wanted === undefined || extendedKeyUsage?.includes(wanted) === true,
  },
  {
    check: 'validity',
    message: 'The certificate is not valid at this time.',
    holds: (leaf, terms) => terms.anyLeafValidity === true || isValid(leaf, terms),
  },
  {
    check: 'key',
    message: 'The key of the certificate is too weak, or of an unknown kind.',
    holds: ({ publicKey }, { mlDsaLeaf = false }) => isStrongKey(publicKey) || (mlDsaLeaf && isMlDsaKey(publicKey)),
  },
]

/** All but the signature, which takes more time than all of them. */
export const issuerRules: readonly Rule<Step>[] = [
  {
    check: 'authority',
    message: 'An issuer is no authority.',
    holds: ({ issuer }) => issuer.isAuthority,
  },
  {
    check: 'certificate_signing',
    message: 'The key of an issuer is not for signing certificates.',
    holds: ({ issuer }) => issuer.keyUsage?.includes('keyCertSign') === true,
  },
  {
    check: 'path_length',
    message: 'An issuer may not have so many authorities below it.',
    holds: ({ issuer: { pathLength }, path: [, ...authorities] }) =>
      pathLength === undefined || authorities.filter((one) => one.subjectId !== one.issuerId).length <= pathLength,
  },
  {
    check: 'name_constraints',
    message: 'An issuer constrains names, which is not supported.',
    holds: ({ issuer }) => !issuer.extensions.has(extensionIds.nameConstraints),
  },
  {
    check: 'critical_extension',
    message: 'An issuer has a critical extension that is not understood.',
    holds: ({ issuer }) => issuer.criticalExtensions.every((id) => understood.includes(id)),
  },
  {
    check: 'extended_key_usage',
    message: 'An issuer is for other purposes.',
    holds: ({ issuer: { extendedKeyUsage: purposes } }, { leafExtendedKeyUsage: wanted }) =>
      wanted === undefined ||
      purposes === undefined ||
      purposes.includes(wanted) ||
      purposes.includes(ANY_EXTENDED_KEY_USAGE),
  },
  {
    check: 'validity',
    message: 'An issuer is not valid at this time.',
    holds: ({ issuer }, terms) => isValid(issuer, terms),
  },
  {
    check: 'key',
    message: 'The key of an issuer is too weak, or of an unknown kind.',
    holds: ({ issuer }) => isStrongKey(issuer.publicKey),
  },
  {
    check: 'signature_algorithm',
    message: 'A certificate is signed with an algorithm that is not supported.',
    holds: ({ path }) => findSignatureAlgorithm((path.at(-1) as ParsedCertificate).signatureAlgorithm) !== undefined,
  },
]

export function firstBroken<Subject>(
  rules: readonly Rule<Subject>[],
  subject: Subject,
  terms: PathTerms,
): Rule<Subject> | undefined {
  return rules.find((rule) => !rule.holds(subject, terms))
}

function isValid({ notBefore, notAfter }: ParsedCertificate, { now }: PathTerms): boolean {
  return notBefore <= now && now <= notAfter
}
