import { z } from 'zod'
import { displayName } from '../enrollment.ts'
import { bytesWithin, timestamp } from '../wire.ts'
import { collateralKindReaders } from './collateral-kinds.ts'
import { type Collateral, collateralKinds, MAX_COLLATERAL_BYTES, malformedEvidence } from './evidence-format.ts'
import { parseCertificate } from './x509/parse-certificate.ts'
import { parsePem } from './x509/pem.ts'

export const MAX_CHAIN = 4

/** What an operator imports. Its signatures are looked at by the evidence that is held against it. */
export const collateralWish = z
  .strictObject({
    kind: z.enum(collateralKinds),
    body: bytesWithin(1, MAX_COLLATERAL_BYTES).meta({ description: 'as it was published' }),
    chain: z
      .string()
      .max(64 << 10)
      .optional()
      .meta({ description: `1 to ${MAX_CHAIN} certificates in PEM, where its kind has them apart` }),
    fetchedAt: timestamp
      .optional()
      .meta({ description: 'of a kind that names no time itself; milliseconds since the Unix epoch; default: now' }),
    name: displayName.optional().meta({ description: 'for people; default: what it says itself' }),
  })
  .meta({ id: 'CollateralWish' })
export type CollateralWish = z.output<typeof collateralWish>

export interface NamedCollateral extends Collateral {
  name: string
}

/** Clocks of vendors and ours are not the same. */
const MAX_AHEAD_MS = 3_600_000

/** Throws `evidence_malformed` for what is none of its kind, and for what is of the future. */
export function readCollateral(wish: CollateralWish, now: number): NamedCollateral {
  const { kind, body } = wish
  const chain = readChain(wish.chain)
  const read = collateralKindReaders[kind](body, chain, Math.min(wish.fetchedAt ?? now, now))
  const { lookupId, issuedAt, nextUpdateAt } = read
  if (issuedAt > now + MAX_AHEAD_MS) {
    throw malformedEvidence(`It is of the future: issued at ${new Date(issuedAt).toISOString()}.`)
  }
  return { kind, body, chain, lookupId, issuedAt, nextUpdateAt, name: wish.name ?? read.name }
}

function readChain(pem: string | undefined): Uint8Array[] {
  if (pem === undefined) return []
  const chain = parsePem(pem, 'CERTIFICATE')
  if (chain.length === 0 || chain.length > MAX_CHAIN) {
    throw malformedEvidence(`There are ${chain.length} certificates in the chain, not 1 to ${MAX_CHAIN}.`)
  }
  for (const der of chain) parseCertificate(der)
  return chain
}
