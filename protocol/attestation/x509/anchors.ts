import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { TrustAnchor } from '../evidence-format.ts'
import { type ParsedCertificate, parseCertificate } from './parse-certificate.ts'

/** Certificates that an organization trusts, read, and of which anchor each is. */
export interface ParsedAnchors {
  roots: readonly ParsedCertificate[]
  intermediates: readonly ParsedCertificate[]
  certificates: ReadonlyMap<TrustAnchor, ParsedCertificate>
}

/** Of the kind `key` none is read. */
export function parseAnchors(anchors: readonly TrustAnchor[]): ParsedAnchors {
  const certificates = new Map(
    anchors.filter(({ kind }) => kind !== 'key').map((anchor) => [anchor, parseCertificate(anchor.der)]),
  )
  const ofKind = (wanted: TrustAnchor['kind']) =>
    [...certificates].filter(([{ kind }]) => kind === wanted).map(([, certificate]) => certificate)
  return { roots: ofKind('root'), intermediates: ofKind('intermediate'), certificates }
}

/** A trust anchor by which a path was verified: how it is looked up, and the SHA-256 of its DER, in hexadecimal. */
export const usedAnchor = z.strictObject({
  lookupId: z.string().max(160),
  sha256: z.string().regex(/^([0-9a-f]{2})+$/),
})
export type UsedAnchor = z.output<typeof usedAnchor>

/** What of a verified path an operator trusts: the root, and what the evidence did not bring along itself. */
export function usedAnchors({ certificates }: ParsedAnchors, path: readonly ParsedCertificate[]): UsedAnchor[] {
  return [...certificates].filter(([, certificate]) => path.includes(certificate)).map(([anchor]) => toUsed(anchor))
}

/** Whether all that a path used is trusted still. */
export function areTrusted(used: readonly UsedAnchor[], anchors: readonly TrustAnchor[]): boolean {
  const trusted = anchors.filter(({ kind }) => kind !== 'key').map(toUsed)
  return used.every((one) => trusted.some(({ lookupId, sha256 }) => lookupId === one.lookupId && sha256 === one.sha256))
}

function toUsed({ lookupId, der }: TrustAnchor): UsedAnchor {
  return { lookupId, sha256: createHash('sha256').update(der).digest('hex') }
}
