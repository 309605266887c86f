import { afterAll, beforeAll, expect, test } from 'vitest'
import { leafHash } from '../../protocol/log/merkle.ts'
import { createExportVerifier } from '../../protocol/log/audit-export.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

test('smoke', async () => {
  for (let i = 0; i < 3; i++) await enrollTestDevice(service)
  await service.log.sequence()
  const token = service.adminToken
  const cp = await call(service, 'GET', '/v1/audit/checkpoint')
  console.log(cp.status, cp.body.slice(0, 200))
  const events = await call(service, 'GET', '/v1/audit/events?limit=3', { token })
  console.log(events.status, JSON.stringify(events.body).slice(0, 500))
  const id = events.body.items[0].event.id
  const proof = await call(service, 'GET', `/v1/audit/events/${id}/proof`, { token })
  console.log(proof.status, proof.body.slice(0, 400))
  const tile = await call(service, 'GET', `/v1/audit/tile/0/000.p/5`)
  console.log(tile.status, tile.headers.get('content-type'))
  const ex = await call(service, 'GET', '/v1/audit/export', { token })
  const v = createExportVerifier(crypto, { log: service.log.keys })
  for (const line of ex.body.trimEnd().split('\n')) v.push(line)
  console.log(ex.status, v.finish())
  const ready = await call(service, 'GET', '/ready')
  console.log(ready.status, JSON.stringify(ready.body))
})
