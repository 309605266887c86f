import type { Entry } from './entry.ts'

/** What is done on a device, in the order of the help. */
export const deviceEntries: readonly Entry[] = [
  {
    name: 'enroll',
    summary: 'make this a device, with an enrolment token',
    load: async () => (await import('./enroll.ts')).enroll,
  },
  {
    name: 'exchange',
    summary: 'agree on new keys with the server',
    load: async () => (await import('./exchange.ts')).exchange,
  },
  {
    name: 'attest',
    summary: 'prove again in what state this device is',
    load: async () => (await import('./attest.ts')).attestCommand,
  },
  {
    name: 'keep-fresh',
    summary: 'exchange keys and attest by itself, until it is stopped',
    load: async () => (await import('./keep-fresh.ts')).keepFreshCommand,
  },
  {
    name: 'rotate-identity',
    summary: 'replace the identity key of this device',
    load: async () => (await import('./rotate-identity.ts')).rotateIdentity,
  },
  {
    name: 'seal',
    summary: 'encrypt the state of this device under a key of its TPM',
    load: async () => (await import('./seal.ts')).seal,
  },
  {
    name: 'unseal',
    summary: 'undo that, before a change of the firmware',
    load: async () => (await import('./seal.ts')).unseal,
  },
  { name: 'key', summary: 'a key of the session', load: async () => (await import('./key.ts')).key },
  {
    name: 'status',
    summary: 'the device, its session and the server',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'reference measure',
    summary: 'the PCRs of this machine, as a reference value',
    load: async () => (await import('./reference-measure.ts')).referenceMeasure,
  },
]
