import type { Tx } from '../../database/open.ts'
import {
  type AttesterStateRow,
  insertAttesterState,
  isAttesterLive,
  listAttesterStates,
  lockAttester,
  updateAttesterState,
} from '../../database/repositories/attester-states.ts'
import type {
  Attester,
  EvidenceFormat,
  EvidenceFormatName,
  ExpectedEvidence,
} from '../../protocol/attestation/evidence-format.ts'
import { evidenceFormats } from '../../protocol/attestation/formats.ts'
import { evidencePoliciesOf, type PolicyDocument } from '../../protocol/attestation/policy.ts'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { isAttesterGenuine, macAttester } from '../../runtime/custody/attester-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import { ServiceError } from '../errors.ts'
import type { Appraisal } from './appraise-evidence.ts'

/** What is known of the attesters of a device, by format; of a format that is not there, nothing. */
export type ExpectedAttesters = Partial<Record<EvidenceFormatName, ExpectedEvidence['attester']>>

export function expectedAttester(
  attesters: ExpectedAttesters,
  format: EvidenceFormatName,
): ExpectedEvidence['attester'] {
  return attesters[format] ?? { kind: 'enrolling', activation: undefined }
}

/** Of a device that is enrolled. Throws SealError for a state that is not the one that was stored for it: somebody wrote to the database. */
export async function readAttesters(keyring: Keyring, tx: Tx, principalId: string): Promise<ExpectedAttesters> {
  return toKnownAttesters(keyring, await listAttesterStates(tx, principalId))
}

/** Of one device. Throws SealError as `readAttesters`. */
export async function toKnownAttesters(
  keyring: Keyring,
  rows: readonly AttesterStateRow[],
): Promise<ExpectedAttesters> {
  const known: ExpectedAttesters = {}
  for (const row of rows) {
    if (!(await isAttesterGenuine(keyring, row))) {
      throw new SealError(
        `The state of the attester of ${row.principalId} is not its own: somebody wrote to the database.`,
      )
    }
    known[row.format] = { kind: 'known', id: row.attesterId, state: JSON.parse(row.state) as Json }
  }
  return known
}

export interface ActivatingFormat {
  name: EvidenceFormatName
  parse: NonNullable<EvidenceFormat['parseCredentialRequest']>
}

/** What makes credentials for a policy, where it has one. */
export function findActivatingFormat(document: PolicyDocument): ActivatingFormat | undefined {
  for (const [name] of evidencePoliciesOf(document)) {
    const parse = evidenceFormats[name].parseCredentialRequest
    if (parse !== undefined) return { name, parse }
  }
  return undefined
}

/**
 * A device whose keys were never activated cannot show that it has them: it has to enrol for a policy that wants it. That says nothing
 * against the device. Throws `evidence_refused`.
 */
export function requireActivated(document: PolicyDocument, known: ExpectedAttesters): void {
  const activating = findActivatingFormat(document)
  if (activating === undefined || known[activating.name] !== undefined) return
  throw new ServiceError(
    'evidence_refused',
    `The keys that evidence of ${activating.name} needs are activated at an enrolment: the device has to enrol anew.`,
    { field: 'evidence' },
  )
}

/**
 * One live device per attester and organization: those that are new to the device are nobody else's, and stay so until the commit.
 * Throws `evidence_refused`, without telling whose it is.
 */
export async function claimAttesters(tx: Tx, { attesters }: Appraisal, known: ExpectedAttesters): Promise<void> {
  for (const { format, id } of attesters) {
    if (known[format]?.kind === 'known') continue
    await lockAttester(tx, { format, attesterId: id })
    if (await isAttesterLive(tx, { format, attesterId: id })) {
      const detail = `The attester behind this evidence of ${format} is enrolled already (${format}.attester_in_use).`
      throw new ServiceError('evidence_refused', detail, { field: 'evidence' })
    }
  }
}

/** What is known from now on. New ones are claimed before; the principal's row is there and locked, or new. */
export async function storeAttesters(
  keyring: Keyring,
  tx: Tx,
  device: { organizationId: string; principalId: string },
  { attesters }: Appraisal,
  known: ExpectedAttesters,
  now: number,
): Promise<void> {
  for (const attester of attesters) {
    const row = toAttesterRow(keyring, device, attester)
    if (known[attester.format]?.kind === 'known') await updateAttesterState(tx, row, now)
    else await insertAttesterState(tx, row, now)
  }
}

export function toAttesterRow(
  keyring: Keyring,
  device: { organizationId: string; principalId: string },
  { format, id, state }: Attester & { format: EvidenceFormatName },
): AttesterStateRow {
  const facts = { ...device, format, attesterId: id, state: canonicalJson(state) }
  const { mac, version: macKeyVersion } = macAttester(keyring, facts)
  return { ...facts, mac, macKeyVersion }
}
