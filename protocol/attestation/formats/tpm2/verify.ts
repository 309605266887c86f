import { timingSafeEqual } from 'node:crypto'
import { type Attester, type ExpectedEvidence, refusedEvidence, type TrustAnchor } from '../../evidence-format.ts'
import { areTrusted, type UsedAnchor } from '../../x509/anchors.ts'
import type { HashName } from './algorithms.ts'
import { ATTEST_QUOTE, type Attest, TPM_GENERATED } from './attest.ts'
import { type AttestationKey, verifyAttestationKey, verifySignature } from './attestation-key.ts'
import { type TpmModel, type VerifiedEk, verifyEkCertificate } from './ek-certificate.ts'
import { qualifiedNamesOf } from './endorsement-key.ts'
import { replayEventLog } from './event-log.ts'
import type { Tpm2Evidence } from './evidence.ts'
import { type PcrValues, verifyPcrs } from './pcrs.ts'
import { activationState, type Tpm2State, tpm2State } from './state.ts'

/** What is proved of a device with a TPM. */
export interface Tpm2Claims {
  attester: { id: string; state: Tpm2State }
  /** Hex, 16 digits. */
  firmwareVersion: string
  ak: Pick<AttestationKey, 'scheme' | 'hash'>
  certificatesAreValid: boolean
  /** Since the evidence before; false where there is none. */
  hasRestarted: boolean
  pcrs: PcrValues
  /** Undefined without an event log. */
  replayed: Partial<Record<HashName, number[]>> | undefined
}

/** Whose quote it has to be. */
interface Signer {
  attesterId: string
  /** One of them. */
  qualifiedNames: readonly Buffer[]
  tpm: TpmModel
  certificatesValidUntil: number
  anchors: readonly UsedAnchor[] | undefined
  before: Tpm2State | undefined
}

/** Every check of a quote, in the order of docs/attestation-formats.md. Throws `evidence_refused`. */
export function verifyTpm2(
  evidence: Tpm2Evidence,
  anchors: readonly TrustAnchor[],
  { binding, now, attester }: ExpectedEvidence,
): Tpm2Claims {
  const ek = evidence.certificates && verifyEkCertificate(evidence.certificates, anchors, now)
  const ak = verifyAttestationKey(evidence.ak)
  const signer =
    attester.kind === 'known'
      ? verifyKnown(attester, anchors, ek, ak)
      : verifyActivation(attester.activation, { ek, ak, secret: evidence.activatedSecret })
  const { quote } = evidence
  verifySignature(ak, quote.bytes, evidence.signature)
  const pcrs = verifyPcrs(evidence.pcrs, verifyQuote(quote, binding), ak.hash)
  const replayed = evidence.eventLog && replayEventLog(evidence.eventLog, pcrs)
  if (!signer.qualifiedNames.some((name) => name.equals(quote.qualifiedSigner))) {
    throw refusedEvidence('tpm2.qualified_signer', 'The signer of the quote is not that AK in the TPM of that EK.')
  }
  if (signer.before !== undefined) verifyCounters(quote, signer.before)
  return {
    attester: { id: signer.attesterId, state: stateOf(quote, ak, signer) },
    firmwareVersion: Buffer.from(quote.firmwareVersion).toString('hex'),
    ak: { scheme: ak.scheme, hash: ak.hash },
    certificatesAreValid: now <= signer.certificatesValidUntil,
    hasRestarted: signer.before !== undefined && !isSameStart(quote, signer.before),
    pcrs,
    replayed,
  }
}

/** That the TPM of this EK has this AK: it opened the credential that was made for both. */
function verifyActivation(
  activation: { attesterId: string; state: unknown; secret: Uint8Array } | undefined,
  { ek, ak, secret }: { ek: VerifiedEk | undefined; ak: AttestationKey; secret: Uint8Array | undefined },
): Signer {
  if (ek === undefined) throw refusedEvidence('tpm2.ek_certificate', 'There is no EK certificate.')
  if (activation === undefined) throw refusedEvidence('tpm2.activation', 'No credential was asked for.')
  if (activation.attesterId !== ek.key.id) {
    throw refusedEvidence('tpm2.activated_ek', 'The credential was made for another EK.')
  }
  if (activationState.parse(activation.state).akName !== ak.name.toString('hex')) {
    throw refusedEvidence('tpm2.activated_ak', 'The credential was made for another AK.')
  }
  if (secret === undefined || !isEqualSecret(secret, activation.secret)) {
    throw refusedEvidence('tpm2.activation', 'The secret is not that of the credential.')
  }
  const { tpm, anchors, validUntil } = ek
  const qualifiedNames = qualifiedNamesOf(ak, ek.key)
  return { attesterId: ek.key.id, qualifiedNames, tpm, anchors, certificatesValidUntil: validUntil, before: undefined }
}

function isEqualSecret(given: Uint8Array, expected: Uint8Array): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected)
}

/**
 * What was proved at the enrolment holds for the names of these keys, as long as those are trusted by which it was. A certificate that is
 * sent again is verified again.
 */
function verifyKnown(
  known: Attester,
  anchors: readonly TrustAnchor[],
  ek: VerifiedEk | undefined,
  ak: AttestationKey,
): Signer {
  const before = tpm2State.parse(known.state)
  if (ek === undefined && !areTrusted(before.anchors ?? [], anchors)) {
    throw refusedEvidence(
      'tpm2.ek_path.anchor',
      'A trust anchor that the EK certificate was verified by is not trusted any more.',
    )
  }
  if (ek !== undefined && ek.key.id !== known.id) {
    throw refusedEvidence('tpm2.known_ek', 'The EK is not the one that was enrolled.')
  }
  if (ak.name.toString('hex') !== before.akName) {
    throw refusedEvidence('tpm2.known_ak', 'The AK is not the one that was enrolled.')
  }
  return {
    attesterId: known.id,
    qualifiedNames: [Buffer.from(before.qualifiedName, 'hex')],
    tpm: ek?.tpm ?? before.tpm,
    certificatesValidUntil: ek?.validUntil ?? before.certificatesValidUntil,
    anchors: ek?.anchors ?? before.anchors,
    before,
  }
}

/** A restricted key signs whatever a TPM is given, but nothing that begins with this magic: that the TPM wrote itself. */
function verifyQuote({ magic, quote, extraData }: Attest, binding: Uint8Array) {
  if (magic !== TPM_GENERATED) throw refusedEvidence('tpm2.magic', 'The quote was not written by a TPM.')
  if (quote === undefined) {
    throw refusedEvidence('tpm2.type', `What is signed is no quote: its type is not ${ATTEST_QUOTE.toString(16)}.`)
  }
  if (!Buffer.from(binding).equals(extraData)) {
    throw refusedEvidence('tpm2.binding', 'The quote is bound to another challenge, key or session.')
  }
  return quote
}

/** TPM 2.0 Part 1 §36: what only goes back when a TPM was cleared, or is another one. */
function verifyCounters(quote: Attest, before: Tpm2State): void {
  if (quote.resetCount < before.resetCount) {
    throw refusedEvidence('tpm2.reset_count', 'The TPM was reset less often than before.')
  }
  if (quote.resetCount === before.resetCount && quote.restartCount < before.restartCount) {
    throw refusedEvidence('tpm2.restart_count', 'The TPM was restarted less often than before.')
  }
  // After an unclean power-off the clock may go back, and says so.
  if (quote.clock < before.clock && (quote.safe || isSameStart(quote, before))) {
    throw refusedEvidence('tpm2.clock', 'The clock of the TPM went back.')
  }
}

function isSameStart(quote: Attest, before: Tpm2State): boolean {
  return quote.resetCount === before.resetCount && quote.restartCount === before.restartCount
}

function stateOf(quote: Attest, ak: AttestationKey, { tpm, certificatesValidUntil, anchors }: Signer): Tpm2State {
  const { clock, resetCount, restartCount, safe } = quote
  return {
    akName: ak.name.toString('hex'),
    qualifiedName: Buffer.from(quote.qualifiedSigner).toString('hex'),
    tpm,
    certificatesValidUntil,
    ...(anchors && { anchors: [...anchors] }),
    resetCount,
    restartCount,
    clock,
    safe,
  }
}
