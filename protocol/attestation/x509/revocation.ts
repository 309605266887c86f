import type { Collateral } from '../evidence-format.ts'
import type { ParsedCertificate } from './parse-certificate.ts'
import { type ParsedCrl, parseCrl } from './parse-crl.ts'
import { isSignedBy } from './signature-algorithms.ts'

/** What is known of a certificate: `unknown` without a list that its issuer signed, `stale` when that list is out of date and does not name it. */
export type RevocationStatus = 'good' | 'revoked' | 'stale' | 'unknown'

/** How the list of an issuer is looked up, from the `subjectId` of its certificate: `crl:<hex SHA-256 of the DER Name>`. */
export function crlIdOf(subjectId: string): string {
  return subjectId.replace(/^subject:/, 'crl:')
}

/** Lists are long, and the same object is the same list. */
const parsed = new WeakMap<Collateral, ParsedCrl>()

function parsedCrlOf(collateral: Collateral): ParsedCrl {
  const crl = parsed.get(collateral) ?? parseCrl(collateral.body)
  parsed.set(collateral, crl)
  return crl
}

/**
 * Whether the issuer of a certificate on a verified path revoked it. A list counts that this very issuer signed, with a key that may
 * (RFC 5280 §6.3.3); a list of which the end has passed can still revoke, but nothing is good by it.
 */
export function revocationStatus(
  certificate: ParsedCertificate,
  issuer: ParsedCertificate,
  collateral: readonly Collateral[],
  now: number,
): RevocationStatus {
  const lookupId = crlIdOf(issuer.subjectId)
  const lists = collateral
    .filter((one) => one.kind === 'crl' && one.lookupId === lookupId)
    .map(parsedCrlOf)
    .filter((crl) => crl.issuerId === issuer.subjectId && crl.thisUpdate <= now && isSignedCrl(crl, issuer))
  if (lists.length === 0) return 'unknown'
  if (lists.some(({ serialNumbers }) => serialNumbers.has(certificate.serialNumber))) return 'revoked'
  return lists.some(({ nextUpdate }) => now <= nextUpdate) ? 'good' : 'stale'
}

function isSignedCrl(crl: ParsedCrl, { keyUsage, publicKey }: ParsedCertificate): boolean {
  return keyUsage?.includes('crlSign') === true && isSignedBy(crl, publicKey)
}
