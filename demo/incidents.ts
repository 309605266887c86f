import { setTimeout as sleep } from 'node:timers/promises'
import type { Incident, QflareIncidents } from '../client/incidents.ts'
import { allPages } from '../client/pages.ts'

/** What the security monitor has to tell of what the demo did, by one of its rules. */
export interface Provoked {
  rule: 'attestation-failed' | 'enrollment-token-reused'
  /** Who did it: an incident of it may have others in it. */
  deviceId?: string
  /** What it is of, as the incident says it. */
  about?: string
}

/** `open`: devices are in it that this demo did not enrol. `untold`: the organization does not want to hear of it. */
export type Outcome = 'resolved' | 'open' | 'untold'

export interface ResolveOptions {
  /** Of all devices that this demo enrolled: an incident without others is its own, for nobody had these before it. */
  deviceIds: ReadonlySet<string>
  withinMs: number
  signal: AbortSignal
}

const AGAIN_MS = 500

/** Waits until the monitor tells of it, and ends that incident as an operator would, where it is the demo's alone. */
export async function resolveProvoked(
  incidents: QflareIncidents,
  provoked: Provoked,
  options: ResolveOptions,
): Promise<Outcome> {
  const { rules } = await incidents.getMonitorSettings()
  if (!rules.some(({ name, isEnabled, threshold }) => name === provoked.rule && isEnabled && threshold <= 1)) {
    return 'untold'
  }
  const { id, devices } = await waitFor(incidents, provoked, options)
  let ours = 0
  for await (const { deviceId } of incidents.incidentDevices(id)) if (options.deviceIds.has(deviceId)) ours++
  if (ours !== devices) return 'open'
  await incidents.acknowledgeIncident(id)
  await incidents.resolveIncident(id)
  return 'resolved'
}

async function waitFor(
  incidents: QflareIncidents,
  provoked: Provoked,
  { withinMs, signal }: ResolveOptions,
): Promise<Incident> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const found = await find(incidents, provoked)
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`The security monitor has not told of it: ${provoked.rule}.`)
    if (signal.aborted) throw new Error('Nobody waited for the security monitor.')
    await sleep(AGAIN_MS)
  }
}

async function find(incidents: QflareIncidents, { rule, deviceId, about }: Provoked): Promise<Incident | undefined> {
  for await (const incident of allPages((page) => incidents.listIncidents({ ...page, rule, deviceId }))) {
    if (about === undefined || incident.about === about) return incident
  }
  return undefined
}
