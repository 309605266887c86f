import { type Answer, call, enrollTestDevice } from './api.ts'
import { askKeys, enterService, makeFederation, openRound } from './rounds.ts'
import type { TestService } from './service.ts'

export type Ask = () => Promise<Answer>
/** A request that changes something, for the test that nothing is stored without its event. */
export interface Change {
  /** Whatever has to be there before the request. */
  prepare: () => Promise<Ask>
  /** Of the answer, once events are taken again. */
  status: number
}

/** Those of federations and their rounds, by route. `getService` is asked when a change is prepared. */
export function listRoundChanges(getService: () => TestService): Record<string, Change> {
  const asAdmin = (method: string, path: string, body?: unknown, token = getService().adminToken) =>
    call(getService(), method, path, { token, body })

  async function furnishRound() {
    const coordinator = await enterService(getService(), 'coordinator')
    const device = await enterService(getService())
    const federation = await makeFederation(getService(), coordinator, [device])
    return { coordinator, device, federation, round: await openRound(getService(), coordinator, federation) }
  }

  function ofFederation(method: string, list: string, kind: 'device' | 'coordinator', isThere: boolean): Change {
    return {
      async prepare() {
        const { federation } = await furnishRound()
        const { deviceId } = await enrollTestDevice(getService(), { kind })
        const path = `${federation.path}/${list}/${deviceId}`
        if (isThere) await asAdmin('PUT', path)
        return () => asAdmin(method, path)
      },
      status: 204,
    }
  }

  function closing(hasKeys: boolean): Change {
    return {
      async prepare() {
        const { coordinator, round } = await furnishRound()
        if (hasKeys) await askKeys(getService(), coordinator, round)
        return () => asAdmin('POST', `${round.path}/close`, {}, coordinator.accessToken)
      },
      status: 200,
    }
  }

  return {
    'POST /v1/federations': {
      prepare: async () => () => asAdmin('POST', '/v1/federations', { name: 'one more' }),
      status: 201,
    },
    'PUT /v1/federations/:id/members/:deviceId': ofFederation('PUT', 'members', 'device', false),
    'DELETE /v1/federations/:id/members/:deviceId': ofFederation('DELETE', 'members', 'device', true),
    'PUT /v1/federations/:id/coordinators/:principalId': ofFederation('PUT', 'coordinators', 'coordinator', false),
    'DELETE /v1/federations/:id/coordinators/:principalId': ofFederation('DELETE', 'coordinators', 'coordinator', true),
    'POST /v1/federations/:id/rounds': {
      async prepare() {
        const { federation } = await furnishRound()
        return () => asAdmin('POST', `${federation.path}/rounds`, {})
      },
      status: 201,
    },
    'POST /v1/federations/:id/rounds/:round/keys': {
      async prepare() {
        const { coordinator, round } = await furnishRound()
        return () => askKeys(getService(), coordinator, round)
      },
      status: 200,
    },
    'POST /v1/federations/:id/rounds/:round/membership': {
      async prepare() {
        const { coordinator, device, round } = await furnishRound()
        await askKeys(getService(), coordinator, round)
        return () => asAdmin('POST', `${round.path}/membership`, { status: 'epoch_gone' }, device.accessToken)
      },
      status: 204,
    },
    'POST /v1/federations/:id/rounds/:round/close': closing(true),
    'POST /v1/federations/:id/rounds/:round/close without anybody': closing(false),
  }
}
