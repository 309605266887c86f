import type { RoundCertificateFile } from '../protocol/rounds/round-certificate.ts'
import { verifyRoundCertificate } from '../protocol/rounds/verify-round-certificate.ts'
import type { TrustBundle } from '../protocol/trust.ts'
import type { DeviceParts } from './device-parts.ts'
import { QflareFederations } from './federations.ts'
import { followTrust } from './follow-trust.ts'
import { getAccessToken } from './renew-token.ts'

/** What this device, a coordinator, may do with its own access token. */
export function federationsOf(parts: DeviceParts): QflareFederations {
  return new QflareFederations(parts.http, () => getAccessToken(parts), parts)
}

/** The certificate of a round that has ended, verified under the root key that this device has pinned. */
export async function fetchRoundCertificate(
  parts: DeviceParts,
  names: { federationId: string; round: number; requireProof?: boolean | undefined },
): Promise<RoundCertificateFile> {
  const file = await federationsOf(parts).getRoundCertificate(names.federationId, names.round)
  const { trust } = await followTrust(parts)
  verifyRoundCertificate(parts.crypto, file, {
    rootPin: rootKidOf(trust, file),
    requireProof: names.requireProof === true,
  })
  return file
}

/** Of the root keys that this device trusts, the one that the bundles of the file have first; any of its own where they have none. */
function rootKidOf({ keys }: TrustBundle, file: RoundCertificateFile): string {
  const roots = keys.flatMap(({ use, kid }) => (use === 'root' ? [kid] : []))
  const theirs = file.trust.flatMap((bundle) => bundle.keys).filter(({ use }) => use === 'root')
  return theirs.find(({ kid }) => roots.includes(kid))?.kid ?? roots[0] ?? ''
}
