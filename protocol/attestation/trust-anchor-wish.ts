import { z } from 'zod'
import { displayName } from '../enrollment.ts'
import { ProtocolError } from '../errors.ts'
import { bytesWithin } from '../wire.ts'
import { malformedEvidence, type TrustAnchor } from './evidence-format.ts'
import { parsePsaKey } from './formats/psa/parse-key.ts'
import { type Authority, parseAuthority } from './x509/parse-authority.ts'
import { parsePem } from './x509/pem.ts'

/** Formats whose evidence leads to certificates of authorities. */
export const certifiedFormats = ['tpm2', 'android-key', 'apple-app-attest', 'sev-snp', 'tdx'] as const
export type CertifiedFormat = (typeof certifiedFormats)[number]

/** Formats whose evidence leads to trust anchors. */
export const anchoredFormats = ['psa', ...certifiedFormats] as const
export type AnchoredFormat = (typeof anchoredFormats)[number]

export const MAX_CERTIFICATES = 64
export const MAX_KEYS = 500

const name = displayName.optional().meta({ description: 'for people; of a certificate its subject without it' })

/** What an operator wants an organization to trust: certificates of authorities, or keys of devices. */
export const trustAnchorWish = z
  .discriminatedUnion('format', [
    z.strictObject({
      format: z.enum(certifiedFormats),
      pem: z
        .string()
        .min(1)
        .max(256 << 10)
        .meta({ description: `1 to ${MAX_CERTIFICATES} certificates of authorities` }),
      kind: z
        .enum(['root', 'intermediate'])
        .optional()
        .meta({ description: 'of all of them; without it, what is its own issuer is a root' }),
      name,
    }),
    z.strictObject({
      format: z.literal('psa'),
      keys: z
        .array(
          z.strictObject({
            instanceId: z
              .string()
              .regex(
                /^01[0-9a-f]{64}$/,
                'Not an instance id: 33 bytes in lower-case hexadecimal, the first of them 01.',
              ),
            publicKey: bytesWithin(1, 512).meta({ description: 'SubjectPublicKeyInfo in DER' }),
            name,
          }),
        )
        .min(1)
        .max(MAX_KEYS),
    }),
  ])
  .meta({ id: 'TrustAnchorWish' })
export type TrustAnchorWish = z.output<typeof trustAnchorWish>

export interface NamedTrustAnchor extends TrustAnchor {
  name: string
}

/** Everything that is wished for, each once. Throws `evidence_malformed`, and says which one it is. */
export function readTrustAnchors(wish: TrustAnchorWish): NamedTrustAnchor[] {
  return wish.format === 'psa' ? readKeys(wish) : readCertificates(wish)
}

function readKeys({ keys }: Extract<TrustAnchorWish, { format: 'psa' }>): NamedTrustAnchor[] {
  return keys.map(({ instanceId, publicKey, name: given }, index) => ({
    lookupId: `psa:${instanceId}`,
    kind: 'key',
    der: numbered('Key', index, () => parsePsaKey(publicKey)),
    name: given ?? instanceId,
  }))
}

function readCertificates({ pem, kind, name: given }: Extract<TrustAnchorWish, { format: CertifiedFormat }>) {
  const certificates = parsePem(pem, 'CERTIFICATE')
  if (certificates.length === 0 || certificates.length > MAX_CERTIFICATES) {
    throw malformedEvidence(`There are ${certificates.length} certificates, not 1 to ${MAX_CERTIFICATES}.`)
  }
  return certificates.map((der, index): NamedTrustAnchor => {
    const authority = numbered('Certificate', index, () => parseAuthority(der))
    const { lookupId, isSelfIssued } = authority
    return {
      lookupId,
      kind: kind ?? (isSelfIssued ? 'root' : 'intermediate'),
      der,
      name: given ?? nameOf(authority),
    }
  })
}

/** The last line is what a certificate is called; attacker-controlled where the operator did not look. */
function nameOf({ subject, lookupId }: Authority): string {
  const lines = subject.split('\n')
  const common = lines.find((line) => line.startsWith('CN='))?.slice(3) ?? lines.join(', ')
  const shown = Array.from(common.replace(/\p{C}/gu, '')).slice(0, 128).join('')
  // Of characters outside of the first plane there are two units each.
  return displayName.safeParse(shown).data ?? lookupId
}

function numbered<T>(what: string, index: number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw malformedEvidence(`${what} ${index + 1}: ${error.message}`, { cause: error })
  }
}
