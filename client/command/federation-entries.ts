import type { Entry } from './entry.ts'

/** Of `entries`: federations, and their rounds. */
export const federationEntries: readonly Entry[] = [
  {
    name: 'federation create',
    summary: 'operator: make a federation',
    load: async () => (await import('./federation-create.ts')).federationCreate,
  },
  {
    name: 'federation list',
    summary: 'operator: the federations',
    load: async () => (await import('./federation-list.ts')).federationList,
  },
  {
    name: 'federation show',
    summary: 'operator: all about one federation',
    load: async () => (await import('./federation-show.ts')).federationShow,
  },
  {
    name: 'federation members',
    summary: 'operator: the devices of a federation',
    load: async () => (await import('./federation-members.ts')).federationMembers,
  },
  {
    name: 'federation add-member',
    summary: 'operator: put a device into a federation',
    load: async () => (await import('./federation-membership-commands.ts')).federationAddMember,
  },
  {
    name: 'federation remove-member',
    summary: 'operator: take a device out of a federation',
    load: async () => (await import('./federation-membership-commands.ts')).federationRemoveMember,
  },
  {
    name: 'federation add-coordinator',
    summary: 'operator: let a coordinator run the rounds of a federation',
    load: async () => (await import('./federation-membership-commands.ts')).federationAddCoordinator,
  },
  {
    name: 'federation remove-coordinator',
    summary: 'operator: take the rounds of a federation from a coordinator',
    load: async () => (await import('./federation-membership-commands.ts')).federationRemoveCoordinator,
  },
  {
    name: 'federation watch',
    summary: 'operator: print which devices may not take part, as it changes',
    load: async () => (await import('./federation-watch.ts')).federationWatch,
  },
  {
    name: 'round open',
    summary: 'coordinator: open a round of a federation',
    load: async () => (await import('./round-open.ts')).roundOpen,
  },
  {
    name: 'round list',
    summary: 'coordinator: the rounds of a federation',
    load: async () => (await import('./round-list.ts')).roundList,
  },
  {
    name: 'round show',
    summary: 'coordinator: all about one round',
    load: async () => (await import('./round-show.ts')).roundShow,
  },
  {
    name: 'round keys',
    summary: 'coordinator: a key for each device in a round',
    load: async () => (await import('./round-keys.ts')).roundKeys,
  },
  {
    name: 'round key',
    summary: "a device's key of a round",
    load: async () => (await import('./round-key.ts')).roundKey,
  },
  {
    name: 'round close',
    summary: 'coordinator: end a round, which is then certified',
    load: async () => (await import('./round-close.ts')).roundClose,
  },
  {
    name: 'round certificate',
    summary: 'coordinator or auditor: the certificate of a round, as a file',
    load: async () => (await import('./round-certificate.ts')).roundCertificate,
  },
  {
    name: 'round verify',
    summary: 'anyone: verify such a file',
    load: async () => (await import('./round-verify.ts')).roundVerify,
  },
]
