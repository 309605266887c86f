import { attestationEntries } from './attestation-entries.ts'
import { deviceEntries } from './device-entries.ts'
import type { Entry } from './entry.ts'
import { federationEntries } from './federation-entries.ts'
import { incidentEntries } from './incident-entries.ts'

/** In the order of the help. */
export const entries: readonly Entry[] = [
  ...deviceEntries,
  {
    name: 'token create',
    summary: 'operator: make one enrolment token, or one for each line of a file',
    load: async () => (await import('./token-create.ts')).tokenCreate,
  },
  {
    name: 'token list',
    summary: 'operator: the enrolment tokens',
    load: async () => (await import('./token-list.ts')).tokenList,
  },
  {
    name: 'token revoke',
    summary: 'operator: end an enrolment token that nobody used',
    load: async () => (await import('./token-revoke.ts')).tokenRevoke,
  },
  ...attestationEntries,
  {
    name: 'anchors import',
    summary: 'operator: trust certificates of authorities, or keys of PSA devices',
    load: async () => (await import('./anchors-import.ts')).anchorsImport,
  },
  {
    name: 'anchors import-vendor',
    summary: 'operator: trust the roots of a manufacturer',
    load: async () => (await import('./anchors-vendors.ts')).anchorsImportVendor,
  },
  {
    name: 'anchors vendors',
    summary: 'anyone: the manufacturers whose roots come with this command',
    load: async () => (await import('./anchors-vendors.ts')).anchorsVendors,
  },
  {
    name: 'anchors list',
    summary: 'operator: what the organization trusts',
    load: async () => (await import('./anchors-list.ts')).anchorsList,
  },
  {
    name: 'anchors remove',
    summary: 'operator: trust a certificate or key no more',
    load: async () => (await import('./anchors-remove.ts')).anchorsRemove,
  },
  {
    name: 'collateral import',
    summary: 'operator: import a revocation list or a statement of a vendor',
    load: async () => (await import('./collateral-import.ts')).collateralImport,
  },
  {
    name: 'collateral list',
    summary: 'operator: list them, and when each is out of date',
    load: async () => (await import('./collateral-list.ts')).collateralList,
  },
  {
    name: 'collateral show',
    summary: 'operator: one of them',
    load: async () => (await import('./collateral-show.ts')).collateralShow,
  },
  {
    name: 'collateral remove',
    summary: 'operator: appraise without one from now on',
    load: async () => (await import('./collateral-remove.ts')).collateralRemove,
  },
  {
    name: 'reference import',
    summary: 'operator: add what evidence is compared with',
    load: async () => (await import('./reference-import.ts')).referenceImport,
  },
  {
    name: 'reference list',
    summary: 'operator: what evidence is compared with',
    load: async () => (await import('./reference-list.ts')).referenceList,
  },
  {
    name: 'reference show',
    summary: 'operator: one reference value',
    load: async () => (await import('./reference-show.ts')).referenceShow,
  },
  {
    name: 'reference remove',
    summary: 'operator: compare evidence without a value',
    load: async () => (await import('./reference-remove.ts')).referenceRemove,
  },
  {
    name: 'device list',
    summary: 'operator: the devices of the organization',
    load: async () => (await import('./device-list.ts')).deviceList,
  },
  {
    name: 'device show',
    summary: 'operator: all about one device',
    load: async () => (await import('./device-show.ts')).deviceShow,
  },
  {
    name: 'device set',
    summary: 'operator: change the name, type, capabilities or metadata of a device',
    load: async () => (await import('./device-set.ts')).deviceSet,
  },
  {
    name: 'device suspend',
    summary: 'operator: end the sessions of a device, until it is resumed',
    load: async () => (await import('./device-status-commands.ts')).deviceSuspend,
  },
  {
    name: 'device resume',
    summary: 'operator: let a suspended device exchange keys again',
    load: async () => (await import('./device-status-commands.ts')).deviceResume,
  },
  {
    name: 'device clear-quarantine',
    summary: 'operator: let a quarantined device exchange keys again',
    load: async () => (await import('./device-status-commands.ts')).deviceClearQuarantine,
  },
  {
    name: 'device lift-restrictions',
    summary: 'operator: end what a device is held to for an incident',
    load: async () => (await import('./device-status-commands.ts')).deviceLiftRestrictions,
  },
  {
    name: 'device revoke',
    summary: 'operator: end a device and its sessions, for good',
    load: async () => (await import('./device-status-commands.ts')).deviceRevoke,
  },
  {
    name: 'session list',
    summary: 'operator: the sessions of all devices or of one',
    load: async () => (await import('./session-list.ts')).sessionList,
  },
  {
    name: 'session end',
    summary: 'operator: end a session',
    load: async () => (await import('./session-end.ts')).sessionEnd,
  },
  ...incidentEntries,
  ...federationEntries,
  {
    name: 'audit key',
    summary: 'auditor: the keys that sign the audit log',
    load: async () => (await import('./audit-key.ts')).auditKey,
  },
  {
    name: 'audit events',
    summary: 'auditor: the events of the organization',
    load: async () => (await import('./audit-events.ts')).auditEvents,
  },
  {
    name: 'audit show',
    summary: 'auditor: all of one event',
    load: async () => (await import('./audit-show.ts')).auditShow,
  },
  {
    name: 'audit tail',
    summary: 'auditor: the last events, and new ones as they come',
    load: async () => (await import('./audit-tail.ts')).auditTail,
  },
  {
    name: 'audit proof',
    summary: 'auditor: an event and the proof of it, as two files',
    load: async () => (await import('./audit-proof.ts')).auditProof,
  },
  {
    name: 'audit forgotten',
    summary: 'auditor: the proof that the key of a bucket or an epoch was destroyed',
    load: async () => (await import('./audit-forgotten.ts')).auditForgotten,
  },
  {
    name: 'audit export',
    summary: 'auditor: the log as one file',
    load: async () => (await import('./audit-export.ts')).auditExport,
  },
  {
    name: 'audit verify',
    summary: 'anyone: verify such a file, or the log of a server',
    load: async () => (await import('./audit-verify.ts')).auditVerify,
  },
  {
    name: 'api-token create',
    summary: 'admin: make an API token, with roles',
    load: async () => (await import('./api-token-create.ts')).apiTokenCreate,
  },
  {
    name: 'api-token list',
    summary: 'admin: the API tokens',
    load: async () => (await import('./api-token-list.ts')).apiTokenList,
  },
  {
    name: 'api-token revoke',
    summary: 'admin: end an API token',
    load: async () => (await import('./api-token-revoke.ts')).apiTokenRevoke,
  },
  {
    name: 'organization create',
    summary: 'admin of the service: make an organization and its first admin token',
    load: async () => (await import('./organization-create.ts')).organizationCreate,
  },
  {
    name: 'organization list',
    summary: 'admin of the service: the organizations',
    load: async () => (await import('./organization-list.ts')).organizationList,
  },
  {
    name: 'jobs failed',
    summary: 'admin of the service: runs of jobs that were kept as failed',
    load: async () => (await import('./jobs-failed.ts')).jobsFailed,
  },
  {
    name: 'jobs retry',
    summary: 'admin of the service: run again what was kept as failed',
    load: async () => (await import('./jobs-retry.ts')).jobsRetry,
  },
  {
    name: 'jobs run',
    summary: 'admin of the service: run a job now',
    load: async () => (await import('./jobs-run.ts')).jobsRun,
  },
  {
    name: 'root status',
    summary: 'admin of the service: where the root of trust is, and what waits for it',
    load: async () => (await import('./root-status.ts')).rootStatus,
  },
  {
    name: 'root draft',
    summary: 'admin of the service: the trust bundle that waits for the root of trust',
    load: async () => (await import('./root-draft.ts')).rootDraft,
  },
  {
    name: 'root sign',
    summary: 'whoever has the root of trust: sign such a bundle, anywhere',
    load: async () => (await import('./root-sign.ts')).rootSign,
  },
  {
    name: 'root submit',
    summary: 'admin of the service: bring the signed bundle back',
    load: async () => (await import('./root-submit.ts')).rootSubmit,
  },
  {
    name: 'jobs list',
    summary: 'admin of the service: its jobs, their schedules and how they are',
    load: async () => (await import('./jobs-list.ts')).jobsList,
  },
]
