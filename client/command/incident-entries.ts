import type { Entry } from './entry.ts'

/** Of `entries`: what the security monitor found, and what people do about it. */
export const incidentEntries: readonly Entry[] = [
  {
    name: 'incidents list',
    summary: 'operator: what the security monitor found',
    load: async () => (await import('./incidents-list.ts')).incidentsList,
  },
  {
    name: 'incidents show',
    summary: 'operator: one incident, its evidence, and what was done',
    load: async () => (await import('./incidents-show.ts')).incidentsShow,
  },
  {
    name: 'incidents acknowledge',
    summary: 'operator: say that an incident is being looked at',
    load: async () => (await import('./incidents-mark.ts')).incidentsAcknowledge,
  },
  {
    name: 'incidents resolve',
    summary: 'operator: say that an incident is over',
    load: async () => (await import('./incidents-mark.ts')).incidentsResolve,
  },
  {
    name: 'incidents threats',
    summary: 'operator: the devices that look worst',
    load: async () => (await import('./incidents-threats.ts')).incidentsThreats,
  },
  {
    name: 'incidents settings',
    summary: 'operator: the rules of the security monitor as they hold',
    load: async () => (await import('./incidents-settings.ts')).incidentsSettings,
  },
  {
    name: 'incidents configure',
    summary: 'admin: change those rules, and what the service does by itself',
    load: async () => (await import('./incidents-settings.ts')).incidentsConfigure,
  },
]
