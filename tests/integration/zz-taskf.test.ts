import { test } from 'vitest'
import { fillLog } from '../support/fill-log.ts'
import { startTestService } from '../support/service.ts'
import { call } from '../support/api.ts'
test('fill', async () => {
  const service = await startTestService()
  const { rows: [row] } = await service.database.sql.query<{ id: string }>('select id from organization')
  let t = performance.now()
  await fillLog(service, row!.id, 100_000)
  console.log('fill', performance.now() - t); t = performance.now()
  const r = await fetch(`${service.url}/v1/audit/export`, { headers: { authorization: `Bearer ${service.adminToken}` } })
  const text = await r.text()
  console.log('export', performance.now() - t, text.length)
  t = performance.now()
  const id = JSON.parse(text.split('\n')[50_000]!).event.id
  for (let i = 0; i < 100; i++) await call(service, 'GET', `/v1/audit/events/${id}/proof`, { token: service.adminToken })
  console.log('100 proofs', performance.now() - t)
  await service.close()
}, 200_000)
