import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { listPrincipals } from '../../database/repositories/list-principals.ts'
import {
  findPrincipal,
  lockPrincipal,
  type Principal,
  type PrincipalChange,
  updatePrincipal,
} from '../../database/repositories/principals.ts'
import { canonicalJson } from '../../protocol/encoding.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

/** As it is stored, with the key that it has now. */
export type Device = Principal
export type Devices = ReturnType<typeof createDevices>

/** The registry. Devices and coordinators see themselves only. */
export function createDevices(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts
  return {
    list(operator: Operator, page: Parameters<typeof listPrincipals>[1]): Promise<Device[]> {
      return database.withOrganization(operator.organizationId, (tx) => listPrincipals(tx, page))
    },

    get(caller: Operator | SessionCaller, id: string): Promise<Device> {
      requireKnown(caller, id)
      return database.withOrganization(caller.organizationId, (tx) => getDevice(tx, id))
    },

    /** The device of a token changes its metadata; the rest, which others decide by, is the operator's. */
    change(caller: Operator | SessionCaller, id: string, wish: PrincipalChange, requestId: string): Promise<Device> {
      requireKnown(caller, id)
      const isOwn = caller.type !== 'api_token'
      if (isOwn && Object.keys(wish).some((member) => member !== 'metadata')) {
        throw new ServiceError('forbidden', 'A device changes its metadata; the rest is for an operator.')
      }
      return changeAs(parts, caller, async (tx, now) => {
        await lockPrincipal(tx, id)
        const before = await getDevice(tx, id)
        const change = differences(before, wish)
        const members = Object.keys(change)
        if (members.length === 0) return before
        await updatePrincipal(tx, id, change)
        const event = parts.writeEvent(
          {
            organizationId: caller.organizationId,
            actor: actorOf(caller),
            type: 'device.changed',
            subject: { deviceId: id },
            data: { members, ...toldOf(change) },
            requestId,
          },
          now,
        )
        await insertEvents(tx, [event])
        return getDevice(tx, id)
      })
    },
  }
}

/** Throws `not_found`. */
export async function getDevice(tx: Tx, id: string): Promise<Device> {
  const principal = await findPrincipal(tx, id)
  if (principal === undefined) throw notFound()
  return principal
}

export function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such device.')
}

/** Another device is not to be told from none. Throws `not_found`. */
export function requireKnown(caller: Operator | SessionCaller, id: string): void {
  if (caller.type !== 'api_token' && caller.id !== id) throw notFound()
}

/** What the log says of a change. The metadata is whatever a device or an operator put there: it may be a secret. */
function toldOf({ name, type, capabilities }: PrincipalChange) {
  return {
    ...(name === undefined ? {} : { name }),
    ...(type === undefined ? {} : { type }),
    ...(capabilities === undefined ? {} : { capabilities }),
  }
}

/** Of a wish, what the device is not already. */
function differences(before: Device, wish: PrincipalChange): PrincipalChange {
  const { name, type = null, capabilities, metadata } = before
  const current = { name, type, capabilities, metadata }
  const isNew = (member: keyof PrincipalChange) =>
    wish[member] !== undefined && canonicalJson(wish[member]) !== canonicalJson(current[member])
  return {
    ...(isNew('name') ? { name: wish.name } : {}),
    ...(isNew('type') ? { type: wish.type } : {}),
    ...(isNew('capabilities') ? { capabilities: wish.capabilities } : {}),
    ...(isNew('metadata') ? { metadata: wish.metadata } : {}),
  }
}
