import { newId } from '../../runtime/ids.ts'
import { call } from './api.ts'
import { firstOrganization } from './audit.ts'
import { monitorPartsOf, quarantinedDevice, refusedAccess, series, watch } from './monitor.ts'
import { enterService } from './rounds.ts'
import type { TestService } from './service.ts'

/** All that the security monitor can find and do, and what people do about it. */
export async function watchEverything(service: TestService): Promise<void> {
  const parts = monitorPartsOf(service)
  const organizationId = await firstOrganization(service)
  const response = { rules: { 'access-refused': { response: 'suspend' } } }
  for (const dryRun of [false, true]) {
    await expectOk(service, 'PUT', '/v1/monitor-settings', { dryRun, ...response })
    const { deviceId } = await enterService(service)
    await watch(
      service,
      parts,
      series(service, () => refusedAccess(organizationId, deviceId), 5),
    )
  }
  for (let times = 0; times < 2; times++) {
    await watch(
      service,
      parts,
      series(service, () => quarantinedDevice(organizationId, newId()), 4),
    )
  }
  const { items } = await expectOk(service, 'GET', '/v1/incidents?rule=attestation-failed')
  for (const action of ['acknowledge', 'resolve']) {
    await expectOk(service, 'POST', `/v1/incidents/${items[0].id}/${action}`, {})
  }
}

async function expectOk(service: TestService, method: string, path: string, body?: object) {
  const answer = await call(service, method, path, { token: service.adminToken, body })
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
