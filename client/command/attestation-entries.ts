import type { Entry } from './entry.ts'

/** Of `entries`: what is wanted of evidence, and what was found. */
export const attestationEntries: readonly Entry[] = [
  {
    name: 'policy create',
    summary: 'operator: write the next version of an appraisal policy',
    load: async () => (await import('./policy-create.ts')).policyCreate,
  },
  {
    name: 'policy list',
    summary: 'operator: the appraisal policies, each with its newest version',
    load: async () => (await import('./policy-list.ts')).policyList,
  },
  {
    name: 'policy show',
    summary: 'operator: one version of an appraisal policy',
    load: async () => (await import('./policy-show.ts')).policyShow,
  },
  {
    name: 'policy schema',
    summary: 'anyone: the JSON schema of an appraisal policy',
    load: async () => (await import('./policy-schema.ts')).policySchemaCommand,
  },
  {
    name: 'policy test',
    summary: 'anyone: what a policy says of evidence, line by line',
    load: async () => (await import('./policy-test.ts')).policyTest,
  },
  {
    name: 'attestation list',
    summary: 'operator: what evidence was found to be',
    load: async () => (await import('./attestation-list.ts')).attestationList,
  },
  {
    name: 'attestation show',
    summary: 'operator: one result, line by line',
    load: async () => (await import('./attestation-show.ts')).attestationShow,
  },
  {
    name: 'attestation ear',
    summary: 'operator: a result as it was signed, for anyone to verify',
    load: async () => (await import('./attestation-ear.ts')).attestationEar,
  },
  {
    name: 'attestation evidence',
    summary: 'operator: the evidence of a result, as a file',
    load: async () => (await import('./attestation-evidence.ts')).attestationEvidence,
  },
]
