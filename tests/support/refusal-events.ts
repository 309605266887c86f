import type { TestService } from './service.ts'
import { eventsOf, type Tenant } from './tenants.ts'

const types = ['exchange.refused', 'api_token.refused', 'enrollment_token.refused', 'access.elsewhere']

/** What an organization was told of refusals, oldest first. */
export async function toldTo({ organizationId, ...service }: Tenant) {
  const events = await eventsOf(service, organizationId)
  return events
    .filter(({ type }) => types.includes(type))
    .map(({ type, actor, subject, data }) => ({ type, actor, subject, data }))
}

/** A process of the API that tells what was refused on it when `tell` closes it. */
export async function startTellingNode<T extends TestService>(service: T): Promise<{ node: T; tell(): Promise<void> }> {
  const started = await service.startNode()
  return { node: { ...service, url: started.url }, tell: () => started.close() }
}

/** Events of an exchange that was refused: what is not named is 0. */
export function exchangeRefused(deviceId: string, since: number, counts: Record<string, number>) {
  const none = { signature: 0, replayed: 0, window: 0, offsetBuckets: 0, inactive: 0 }
  return { type: 'exchange.refused', actor: theService, subject: { deviceId }, data: { since, ...none, ...counts } }
}

export const theService = { type: 'service', id: '00000000-0000-0000-0000-000000000000' }

/** Beginning of the service's minute. */
export function minuteOf({ time }: Pick<TestService, 'time'>): number {
  return time.now - (time.now % 60_000)
}
