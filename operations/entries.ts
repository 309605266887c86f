import type { Entry } from '../client/command/run.ts'

/** What an operator runs on the machine itself, beside the commands that work through the API. */
export const entries: readonly Entry[] = [
  {
    name: 'doctor',
    summary: 'this machine: examine the service without changing anything',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'backup verify',
    summary: 'this machine: restore a backup into a scratch folder, check all that is in it, and remove it',
    load: async () => (await import('./backup-verify.ts')).backupVerify,
  },
  {
    name: 'backup',
    summary: 'this machine: back up the embedded database, while it runs or not',
    load: async () => (await import('./backup.ts')).backup,
  },
  {
    name: 'restore',
    summary: 'this machine: bring a backup back to an empty data folder',
    load: async () => (await import('./restore.ts')).restore,
  },
  {
    name: 'migrate',
    summary: 'this machine: bring the schema of DATABASE_URL to this release',
    load: async () => (await import('./migrate.ts')).migrate,
  },
  {
    name: 'release wait',
    summary: 'this machine: wait until no process behind a name is of an older release',
    load: async () => (await import('./release-wait.ts')).releaseWait,
  },
  {
    name: 'audit check',
    summary: 'this machine: read the whole audit log and compare it with what was signed',
    load: async () => (await import('./audit-check.ts')).auditCheck,
  },
  {
    name: 'kek rotate',
    summary: 'this machine: ask for the next version of the key-encryption keys',
    load: async () => (await import('./kek-rotate.ts')).kekRotate,
  },
  {
    name: 'root take-offline',
    summary: 'this machine: write the root of trust to a file, and erase it from the database',
    load: async () => (await import('./root-take-offline.ts')).rootTakeOffline,
  },
  {
    name: 'root bring-online',
    summary: 'this machine: give the root of trust back to the service',
    load: async () => (await import('./root-bring-online.ts')).rootBringOnline,
  },
  {
    name: 'trust ahead',
    summary: 'this machine: give keys out again after a database was taken back',
    load: async () => (await import('./trust-ahead.ts')).trustAhead,
  },
  {
    name: 'admin-token recover',
    summary: 'this machine: make a new admin token when the last one is lost',
    load: async () => (await import('./admin-token-recover.ts')).adminTokenRecover,
  },
  {
    name: 'witness',
    summary: 'this machine: cosign the checkpoints of logs that only grow',
    load: async () => (await import('./witness.ts')).witness,
  },
]
