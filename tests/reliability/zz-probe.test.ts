import { test, vi } from 'vitest'
import { makeLogUnderTest } from './log-under-test.ts'
vi.setConfig({ testTimeout: 100_000 })
test('probe', async () => {
  const log = await makeLogUnderTest()
  const l = await log.open()
  let t = performance.now()
  const lap = (w: string) => { console.log(w, Math.round(performance.now() - t)); t = performance.now() }
  await log.tell(10000)
  lap('tell')
  for (let i = 0; i < 39; i++) { await l.writer.append(); if (i % 8 === 0) lap(`append ${i}`) }
  await log.tell(10000)
  lap('tell')
  for (let i = 0; i < 39; i++) { await l.writer.append(); if (i % 8 === 0) lap(`append ${i}`) }
  const { rows } = await log.database.sql.query(`explain analyze select organization_id, event_id, entry from audit_outbox order by seq limit 256`)
  console.log(rows.map((r) => r['QUERY PLAN']).join('\n'))
  await l.sequence()
  await log.check()
  lap('check')
  await log.close()
})
