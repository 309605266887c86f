import { up as organizations } from './migrations/0001-organizations.ts'
import { up as keys } from './migrations/0002-keys.ts'
import { up as principals } from './migrations/0003-principals.ts'
import { up as sessions } from './migrations/0004-sessions.ts'
import { up as auditOutbox } from './migrations/0005-audit-outbox.ts'
import { up as tenants } from './migrations/0006-tenants.ts'
import { up as recovery } from './migrations/0007-recovery.ts'
import { up as refusedCompletions } from './migrations/0008-refused-completions.ts'
import { up as auditLog } from './migrations/0009-audit-log.ts'
import { up as federations } from './migrations/0010-federations.ts'
import { up as sessionEnds } from './migrations/0011-session-ends.ts'
import { up as keyRotation } from './migrations/0012-key-rotation.ts'
import { up as identityRotation } from './migrations/0013-identity-rotation.ts'
import { up as queues } from './migrations/0014-queues.ts'
import { up as offlineRoot } from './migrations/0015-offline-root.ts'
import { up as appraisalPolicies } from './migrations/0016-appraisal-policies.ts'
import { up as attestationInputs } from './migrations/0017-attestation-inputs.ts'
import { up as attestations } from './migrations/0018-attestations.ts'
import { up as fleetNews } from './migrations/0020-fleet-news.ts'
import { up as resultsUncompressed } from './migrations/0021-results-uncompressed.ts'
import { up as collateral } from './migrations/0022-collateral.ts'
import { up as collateralAlarms } from './migrations/0023-collateral-alarms.ts'
import { up as incidents } from './migrations/0024-incidents.ts'
import { up as incidentNotices } from './migrations/0027-incident-notices.ts'
import { up as exchangeRates } from './migrations/0028-exchange-rates.ts'
import { up as watchedDevices } from './migrations/0029-watched-devices.ts'
import { up as retention } from './migrations/0030-retention.ts'
import { up as attestationPartitions } from './migrations/0031-attestation-partitions.ts'
import { up as kekUses } from './migrations/0032-kek-uses.ts'
import { up as apiTokenEnds } from './migrations/0033-api-token-ends.ts'

/** Forward only, in this order, each frozen once it has been released. */
export const migrations: readonly { name: string; up: string }[] = [
  { name: '0001-organizations', up: organizations },
  { name: '0002-keys', up: keys },
  { name: '0003-principals', up: principals },
  { name: '0004-sessions', up: sessions },
  { name: '0005-audit-outbox', up: auditOutbox },
  { name: '0006-tenants', up: tenants },
  { name: '0007-recovery', up: recovery },
  { name: '0008-refused-completions', up: refusedCompletions },
  { name: '0009-audit-log', up: auditLog },
  { name: '0010-federations', up: federations },
  { name: '0011-session-ends', up: sessionEnds },
  { name: '0012-key-rotation', up: keyRotation },
  { name: '0013-identity-rotation', up: identityRotation },
  { name: '0014-queues', up: queues },
  { name: '0015-offline-root', up: offlineRoot },
  { name: '0016-appraisal-policies', up: appraisalPolicies },
  { name: '0017-attestation-inputs', up: attestationInputs },
  { name: '0018-attestations', up: attestations },
  { name: '0020-fleet-news', up: fleetNews },
  { name: '0021-results-uncompressed', up: resultsUncompressed },
  { name: '0022-collateral', up: collateral },
  { name: '0023-collateral-alarms', up: collateralAlarms },
  { name: '0024-incidents', up: incidents },
  { name: '0027-incident-notices', up: incidentNotices },
  { name: '0028-exchange-rates', up: exchangeRates },
  { name: '0029-watched-devices', up: watchedDevices },
  { name: '0030-retention', up: retention },
  { name: '0031-attestation-partitions', up: attestationPartitions },
  { name: '0032-kek-uses', up: kekUses },
  { name: '0033-api-token-ends', up: apiTokenEnds },
]
