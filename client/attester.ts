import type { CredentialAnswer } from '../protocol/attestation/messages.ts'
import type { Json } from '../protocol/encoding.ts'
import { QflareError } from './errors.ts'

/** As docs/attestation-formats.md has it, `format` among its members. */
export type EvidenceJson = Record<string, Json>

/**
 * What makes evidence of one format. Its methods reject where evidence cannot be had now; what the evidence is worth is the
 * server's to say. Several may be under way at a time.
 */
export interface Attester {
  /** `tpm2`, `psa`, … */
  readonly format: string
  /** What opens the same attester after a restart; it is kept in the state of the device, and holds no secret. */
  readonly settings?: EvidenceJson | undefined
  /** Where keys have to be activated before they enrol: what the server is to make a credential for. */
  credentialRequest?(): Promise<EvidenceJson>
  /** Opens that credential. What the evidence of this enrolment has besides. */
  activate?(credential: CredentialAnswer): Promise<EvidenceJson>
  /** Evidence that vouches for `binding`, 32 bytes. */
  collect(binding: Uint8Array): Promise<EvidenceJson>
}

/** Of a device that only proves its key: it needs nothing, and is worth nothing. */
export const attestNothing: Attester = { format: 'none', collect: async () => ({ format: 'none' }) }

/** Of each format that is wanted its attester, in that order. Throws `policy_refused`. */
export function chooseAttesters(wanted: readonly string[], given: readonly Attester[]): Attester[] {
  const all = [...given, attestNothing]
  const chosen = wanted.flatMap((format) => all.find((attester) => attester.format === format) ?? [])
  if (chosen.length === wanted.length && chosen.length > 0) return chosen
  const has = given.length === 0 ? 'no attester' : `attesters of ${given.map(({ format }) => format).join(', ')} only`
  throw new QflareError('policy_refused', `The server wants evidence of ${wanted.join(', ')}: this device has ${has}.`)
}

/** One piece of evidence of each attester. `activated`: what it was given besides, by format. */
export async function collectEvidence(
  attesters: readonly Attester[],
  binding: Uint8Array,
  activated: Readonly<Record<string, EvidenceJson>> = {},
): Promise<EvidenceJson[]> {
  const evidence: EvidenceJson[] = []
  for (const attester of attesters) {
    const collected = await ask(attester, () => attester.collect(binding))
    evidence.push({ ...collected, ...activated[attester.format] })
  }
  return evidence
}

/** Throws `attester_failed` in the place of what is no `QflareError`. */
export async function ask<T>({ format }: Attester, question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (cause) {
    if (cause instanceof QflareError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new QflareError('attester_failed', `The attester of ${format} gives no evidence (${reason}).`, { cause })
  }
}
