import { malformedEvidence } from '../../evidence-format.ts'
import type { DerElement } from '../../x509/der.ts'

/** Of every number that is taken; a package's version may have more bytes than the rest. */
const MAX_NUMBER_BYTES = 7

/** A non-negative INTEGER that a number holds exactly. Throws `evidence_malformed`. */
export function readNumber({ content }: DerElement): number {
  const value = content.length > MAX_NUMBER_BYTES ? Number.NaN : Number(`0x${Buffer.from(content).toString('hex')}`)
  if ((content[0] ?? 0) >= 0x80 || !Number.isSafeInteger(value)) {
    throw malformedEvidence('A number of an attestation is negative, or far too large.')
  }
  return value
}

/** ENUMERATED: one of these, by its index. Throws `evidence_malformed`. */
export function readEnumerated<const Name>({ content }: DerElement, names: readonly Name[]): Name {
  const name = content.length === 1 ? names[content[0] as number] : undefined
  if (name === undefined) throw malformedEvidence('An attestation has a value that its type does not know.')
  return name
}
