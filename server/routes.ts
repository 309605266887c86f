import type { Database } from '../database/open.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { FederationPolicyName } from '../protocol/rounds/federation-policies.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Keyring } from '../runtime/custody/keyring.ts'
import type { Signer } from '../runtime/custody/signer.ts'
import type { JobQueues } from '../runtime/job-queues.ts'
import type { LaneQueue } from '../runtime/lane-queue.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { ProfileName } from '../runtime/profile.ts'
import type { SecurityContact } from '../runtime/security-contact-setting.ts'
import type { RateLimits } from './rate-limits.ts'
import type { Route } from './route.ts'
import { apiDocumentRoutes } from './routes/api-documents.ts'
import { apiTokenRoutes } from './routes/api-tokens.ts'
import { appraisalPolicyRoutes } from './routes/appraisal-policies.ts'
import { attestRoutes } from './routes/attest.ts'
import { attestationRoutes } from './routes/attestations.ts'
import { auditEventRoutes } from './routes/audit-events.ts'
import { auditTreeRoutes } from './routes/audit-tree.ts'
import { collateralRoutes } from './routes/collateral.ts'
import { completeEnrollmentRoute } from './routes/complete-enrollment.ts'
import { confirmExchangeRoute } from './routes/confirm-exchange.ts'
import { deviceLifeCycleRoutes } from './routes/device-life-cycle.ts'
import { deviceRoutes } from './routes/devices.ts'
import { enrollmentTokenRoutes } from './routes/enrollment-tokens.ts'
import { federationMemberRoutes, federationRoutes } from './routes/federations.ts'
import { giveCredentialRoute } from './routes/give-credential.ts'
import { incidentRoutes } from './routes/incidents.ts'
import { jobRoutes } from './routes/jobs.ts'
import { monitorSettingsRoutes } from './routes/monitor-settings.ts'
import { openExchangeRoute } from './routes/open-exchange.ts'
import { operationRoutes } from './routes/operations.ts'
import { organizationRoutes } from './routes/organizations.ts'
import { publishedKeyRoutes } from './routes/published-keys.ts'
import { referenceValueRoutes } from './routes/reference-values.ts'
import { renewAccessTokenRoute } from './routes/renew-access-token.ts'
import { revocationRoutes } from './routes/revocations.ts'
import { rotateIdentityRoutes } from './routes/rotate-identity.ts'
import { roundKeyRoutes, roundMembershipRoutes } from './routes/round-keys.ts'
import { roundRoutes } from './routes/rounds.ts'
import { securityContactRoute } from './routes/security-contact.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { startEnrollmentRoute } from './routes/start-enrollment.ts'
import { threatScoreRoutes } from './routes/threat-scores.ts'
import { trustAnchorRoutes } from './routes/trust-anchors.ts'
import { trustDraftRoutes } from './routes/trust-drafts.ts'
import type { AccessTokens } from './services/access-tokens.ts'
import { createApiTokens } from './services/api-tokens.ts'
import { createAppraisalPolicies } from './services/appraisal-policies.ts'
import { createAttestationInputs } from './services/attestation-inputs.ts'
import { createAttestations } from './services/attestations.ts'
import { createAuditLog } from './services/audit-log.ts'
import { createCloseRound } from './services/close-round.ts'
import { createCollateral } from './services/collateral.ts'
import { createCompleteAttestation } from './services/complete-attestation.ts'
import { createCompleteEnrollment } from './services/complete-enrollment.ts'
import { createCompleteRotation } from './services/complete-rotation.ts'
import { createConfirmExchange } from './services/confirm-exchange.ts'
import { createDeriveRoundKeys } from './services/derive-round-keys.ts'
import { createDeviceLifeCycle } from './services/device-life-cycle.ts'
import { createDevices } from './services/devices.ts'
import { createEnrollmentTokens } from './services/enrollment-tokens.ts'
import { createExportAuditLog } from './services/export-audit-log.ts'
import { createFederationMembers } from './services/federation-members.ts'
import { createFederations } from './services/federations.ts'
import { createGiveCredential } from './services/give-credential.ts'
import { createIncidents } from './services/incidents.ts'
import { createIssueAttestationResult } from './services/issue-attestation-result.ts'
import { createJobs } from './services/jobs.ts'
import { createMonitorSettings } from './services/monitor-settings.ts'
import { createOpenExchange } from './services/open-exchange.ts'
import { createOrganizations } from './services/organizations.ts'
import type { Passes } from './services/passes.ts'
import type { PublishedKeys } from './services/published-keys.ts'
import type { Readiness } from './services/readiness.ts'
import { createReferenceValues } from './services/reference-values.ts'
import type { NoteRefusal } from './services/refusal-tally.ts'
import { createRenewAccessToken } from './services/renew-access-token.ts'
import type { RevocationFeed } from './services/revocation-feed.ts'
import { createGetRoundCertificate } from './services/round-certificates.ts'
import { createRoundMembership } from './services/round-membership.ts'
import { createRounds } from './services/rounds.ts'
import { createSessions } from './services/sessions.ts'
import { createStartAttestation } from './services/start-attestation.ts'
import { createStartEnrollment } from './services/start-enrollment.ts'
import { createStartRotation } from './services/start-rotation.ts'
import type { TemporalKeys } from './services/temporal-keys.ts'
import { createThreatScores } from './services/threat-scores.ts'
import { createTrustAnchors } from './services/trust-anchors.ts'
import { createTrustDrafts } from './services/trust-drafts.ts'

export interface RouteParts {
  trustDomain: string
  profile: ProfileName
  version: string
  pin: string
  /** Of a federation that names none. */
  federationPolicy: FederationPolicyName
  apiTokenMaxDays: number
  securityContact: SecurityContact | undefined
  database: Database
  auditor: Database
  keyring: Keyring
  attestationSigner: Signer
  temporalKeys: TemporalKeys
  accessTokens: AccessTokens
  publishedKeys: PublishedKeys
  queue: LaneQueue
  passes: Passes
  limits: RateLimits
  readiness: Readiness
  revocationFeed: RevocationFeed
  slowExportMs: number | undefined
  jobQueues: JobQueues
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
  announceRevoked: (apiTokenId: string) => void
  noteRefusal: NoteRefusal
}

/** Every route of the API with the service behind it. */
export function listRoutes(parts: RouteParts): Route[] {
  const { crypto, clock, metrics, version } = parts
  const issueResult = createIssueAttestationResult({ crypto, signer: parts.attestationSigner, version })
  const attestationInputs = createAttestationInputs(parts)
  const auditLog = createAuditLog(parts)
  const routes = [
    ...operationRoutes({ readiness: parts.readiness, registry: metrics.registry, version, crypto }),
    ...publishedKeyRoutes(parts.publishedKeys),
    securityContactRoute(parts.securityContact, clock),
    ...organizationRoutes(createOrganizations(parts)),
    ...apiTokenRoutes(createApiTokens(parts), clock),
    ...appraisalPolicyRoutes(createAppraisalPolicies(parts)),
    ...trustAnchorRoutes(createTrustAnchors(parts)),
    ...collateralRoutes(createCollateral(parts)),
    ...referenceValueRoutes(createReferenceValues(parts)),
    ...enrollmentTokenRoutes(createEnrollmentTokens(parts), clock),
    startEnrollmentRoute(createStartEnrollment({ ...parts, getTrust: parts.publishedKeys.getTrust })),
    giveCredentialRoute(createGiveCredential({ ...parts, attestationInputs })),
    completeEnrollmentRoute(createCompleteEnrollment({ ...parts, issueResult, attestationInputs })),
    ...deviceRoutes(createDevices(parts)),
    ...deviceLifeCycleRoutes(createDeviceLifeCycle(parts)),
    ...rotateIdentityRoutes(
      createStartRotation(parts),
      createCompleteRotation({ ...parts, issueResult, attestationInputs }),
    ),
    ...attestRoutes(
      createStartAttestation(parts),
      createCompleteAttestation({ ...parts, issueResult, attestationInputs }),
    ),
    ...attestationRoutes(createAttestations({ ...parts, attestationInputs })),
    openExchangeRoute(createOpenExchange(parts)),
    confirmExchangeRoute(createConfirmExchange(parts)),
    renewAccessTokenRoute(createRenewAccessToken(parts)),
    ...sessionRoutes(createSessions(parts)),
    ...federationRoutes(createFederations({ ...parts, defaultPolicy: parts.federationPolicy })),
    ...federationMemberRoutes(createFederationMembers(parts)),
    ...roundRoutes(createRounds(parts)),
    ...roundKeyRoutes({
      deriveRoundKeys: createDeriveRoundKeys(parts),
      closeRound: createCloseRound(parts),
      getRoundCertificate: createGetRoundCertificate({ ...parts, auditLog }),
    }),
    ...roundMembershipRoutes(createRoundMembership(parts)),
    ...revocationRoutes(parts.revocationFeed),
    ...incidentRoutes(createIncidents(parts)),
    ...monitorSettingsRoutes(createMonitorSettings(parts)),
    ...threatScoreRoutes(createThreatScores(parts)),
    ...jobRoutes(createJobs(parts)),
    ...trustDraftRoutes(createTrustDrafts({ ...parts, rootKid: parts.pin })),
    ...auditTreeRoutes(auditLog),
    ...auditEventRoutes(auditLog, createExportAuditLog({ ...parts, auditLog })),
  ]
  return [...routes, ...apiDocumentRoutes(routes, version)]
}
