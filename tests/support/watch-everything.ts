import { newId } from '../../runtime/ids.ts'
import { call } from './api.ts'
import { firstOrganization } from './audit.ts'
import { quarantinedDevice, refusedAccess, series, watch } from './monitor.ts'
import { makeSecret, noticePartsOf, openReceiver, send } from './notice-receiver.ts'
import { enterService } from './rounds.ts'
import type { TestService } from './service.ts'

/** All that the security monitor can find and do, whom it tells, and what people do about it. The secret that notices are signed with. */
export async function watchEverything(service: TestService): Promise<Uint8Array> {
  await using stack = new AsyncDisposableStack()
  const receiver = await openReceiver()
  stack.defer(receiver.close)
  const { key } = makeSecret()
  const parts = noticePartsOf(service, { url: receiver.url, keys: [key], timeoutMs: 10_000 })
  const organizationId = await firstOrganization(service)
  for (const [response, dryRun] of [
    ['suspend', false],
    ['suspend', true],
    ['slow', false],
    ['require_attestation', false],
  ] as const) {
    await expectOk(service, 'PUT', '/v1/monitor-settings', { dryRun, rules: { 'access-refused': { response } } })
    const { deviceId } = await enterService(service)
    await watch(
      service,
      parts,
      series(service, () => refusedAccess(organizationId, deviceId), 5),
    )
    await expectOk(service, 'POST', `/v1/devices/${deviceId}/lift-restrictions`, {})
  }
  for (let times = 0; times < 2; times++) {
    await watch(
      service,
      parts,
      series(service, () => quarantinedDevice(organizationId, newId()), 4),
    )
  }
  let told = 0
  receiver.answerWith((response) => void response.writeHead(told++ === 0 ? 204 : 410).end())
  await send(parts)
  const { items } = await expectOk(service, 'GET', '/v1/incidents?rule=attestation-failed')
  for (const action of ['acknowledge', 'resolve']) {
    await expectOk(service, 'POST', `/v1/incidents/${items[0].id}/${action}`, {})
  }
  return key
}

async function expectOk(service: TestService, method: string, path: string, body?: object) {
  const answer = await call(service, method, path, { token: service.adminToken, body })
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
