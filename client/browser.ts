/**
 * The public face of the library for a page, as `qflare.ts` is for Node. Nothing behind it reaches a module of Node: the
 * package tells bundlers to take `no-native.ts` where `primitives/choose.ts` would load `native.ts`.
 */

export type { AttestationAnswer } from '../protocol/attestation/messages.ts'
export { canonicalJson, type Json } from '../protocol/encoding.ts'
export type { PrincipalKind } from '../protocol/enrollment.ts'
export { ProtocolError, type ProtocolErrorCode } from '../protocol/errors.ts'
export { type KeyPurpose, keyPurposes } from '../protocol/exchange/epochs.ts'
export { createExportVerifier, type ExportReport, type ExportVerifier } from '../protocol/log/audit-export.ts'
export { type CheckpointKeys, type VerifiedCheckpoint, verifyCheckpoint } from '../protocol/log/checkpoint.ts'
export { type TreeHead, verifyConsistency } from '../protocol/log/merkle.ts'
export { verifyTlogProof } from '../protocol/log/tlog-proof.ts'
export { formatVerifierKey, parseVerifierKey, type VerifierKey } from '../protocol/log/verifier-key.ts'
export { choosePrimitives } from '../protocol/primitives/choose.ts'
export type { Primitives } from '../protocol/primitives.ts'
export type { FederationPolicyName } from '../protocol/rounds/federation-policies.ts'
export {
  formatRoundCertificateFile,
  parseRoundCertificateFile,
  type RoundCertificate,
  type RoundCertificateFile,
  type RoundParticipant,
  roundCommitment,
} from '../protocol/rounds/round-certificate.ts'
export {
  checkRoundCertificate,
  type RoundCheck,
  type RoundTrust,
  type VerifiedRound,
  verifyRoundCertificate,
} from '../protocol/rounds/verify-round-certificate.ts'
export type { SignatureAlgorithm, Suite } from '../protocol/suites.ts'
export { type AndroidKeyOptions, androidKeyAttester } from './android-key-attester.ts'
export { type AppAttestProof, type AppleAppAttestOptions, appleAppAttestAttester } from './apple-app-attest-attester.ts'
export {
  type Collateral,
  type CollateralRequest,
  openAttestationInputs,
  QflareAttestationInputs,
  type ReferenceValue,
  type TrustAnchor,
  type TrustAnchorRequest,
  type WholeCollateral,
} from './attestation-inputs.ts'
export {
  type Attestation,
  type AttestationEvidence,
  type AttestationFilter,
  openAttestations,
  QflareAttestations,
} from './attestations.ts'
export type { Attester, EvidenceJson } from './attester.ts'
export {
  type AuditKeys,
  type ConsistencyProof,
  type EventFilter,
  type IndexedEvent,
  type LoggedEvent,
  openAuditor,
  QflareAuditor,
} from './auditor.ts'
export type { ClosingOptions } from './close-round.ts'
export { type CallOptions, type DeviceOptions, openDevice, QflareDevice, type RotationOptions } from './device.ts'
export type { DeviceKey, KeyNames } from './device-keys.ts'
export type { DeviceState, DeviceStore } from './device-state.ts'
export type { DeviceStatus } from './device-status.ts'
export { type EnrollmentOptions, enrollDevice } from './enroll-device.ts'
export { type ClientErrorCode, clientErrorCodes, QflareError, type QflareErrorCode } from './errors.ts'
export {
  type Federation,
  type FederationMember,
  openFederations,
  type Participation,
  QflareFederations,
  type Round,
} from './federations.ts'
export type { BarredDevice, FollowRevocationsOptions, RevocationChange } from './follow-revocations.ts'
export {
  type Incident,
  type IncidentDevice,
  type IncidentFilter,
  type MonitorSettingsRequest,
  openIncidents,
  QflareIncidents,
  type ShownMonitorSettings,
  type ThreatScore,
  type WholeIncident,
} from './incidents.ts'
export { createIndexedDbStore } from './indexed-db-store.ts'
export { type Alarm, isAlarm } from './is-alarm.ts'
export type { KeepFreshOptions } from './keep-fresh.ts'
export { createMemoryStore } from './memory-store.ts'
export type { Page, PageQuery } from './pages.ts'
export { roundContext } from './round-context.ts'
export type { RoundKey, RoundKeys, RoundRefusal } from './round-keys.ts'
export {
  type IncidentNotice,
  type IncidentNoticeHeaders,
  verifyIncidentNotice,
} from './verify-incident-notice.ts'
