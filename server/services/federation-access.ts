import type { Tx } from '../../database/open.ts'
import { type Federation, findFederation } from '../../database/repositories/federations.ts'
import { hasRole, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'

/**
 * A federation for whoever may see it: admins and operators of its organization, the API token that made it, and the coordinators
 * that are assigned to it. For everybody else there is none: `not_found`.
 */
export async function getFederation(tx: Tx, caller: Operator | SessionCaller, id: string): Promise<Federation> {
  const { isAssigned, ...federation } = (await findFederation(tx, id, caller.id)) ?? { isAssigned: false }
  if (!('id' in federation)) throw noFederation()
  const isKnown = caller.type === 'api_token' ? maySeeAll(caller) || federation.createdBy === caller.id : isAssigned
  if (!isKnown) throw noFederation()
  return federation
}

/** As an admin or an operator, who are of the organization and of no federation. */
export function maySeeAll(caller: Operator | SessionCaller): boolean {
  return hasRole(caller, 'operator')
}

export function noFederation(): ServiceError {
  return new ServiceError('not_found', 'There is no such federation.')
}
