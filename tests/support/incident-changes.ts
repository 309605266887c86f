import { call } from './api.ts'
import { addIncident, monitorWish } from './incidents.ts'
import type { Change } from './round-changes.ts'
import type { TestService } from './service.ts'

/** What people change of incidents and of the monitor, by route, for the test that nothing is stored without its event. */
export function listIncidentChanges(getService: () => TestService): Record<string, Change> {
  const asAdmin = (method: string, path: string, body: object) =>
    call(getService(), method, path, { token: getService().adminToken, body })
  const mark = (action: string): Change => ({
    async prepare() {
      const id = await addIncident(getService())
      return () => asAdmin('POST', `/v1/incidents/${id}/${action}`, {})
    },
    status: 200,
  })
  return {
    'POST /v1/incidents/:id/acknowledge': mark('acknowledge'),
    'POST /v1/incidents/:id/resolve': mark('resolve'),
    'PUT /v1/monitor-settings': {
      async prepare() {
        const wish = monitorWish()
        return () => asAdmin('PUT', '/v1/monitor-settings', wish)
      },
      status: 200,
    },
  }
}
