import { expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { observeIncidents } from '../../workers/observe-incidents.ts'
import { call } from '../support/api.ts'
import { addEvents } from '../support/audit.ts'
import { addIncident } from '../support/incidents.ts'
import { failedConfirmation, useMonitor } from '../support/monitor.ts'
import { makeTenant } from '../support/tenants.ts'

const logger = createLogger('silent')
const monitor = useMonitor()

/** As a worker process shows them that ran no job. */
async function readMetrics(): Promise<Record<string, number>> {
  const metrics = createMetrics()
  observeIncidents({ database: monitor.service.database.open('qflare_worker', 1), metrics, logger })
  const text = await metrics.registry.metrics()
  const lines = text.split('\n').filter((line) => /^qflare_(incidents|monitor)/.test(line))
  return Object.fromEntries(lines.map((line) => line.replace('qflare_', '').split(' ')).map(([k, v]) => [k, Number(v)]))
}
const open = (severity: string) => `incidents_open{severity="${severity}"}`

test('metrics say how many incidents of whoever wait for somebody, by severity, and nothing of whose they are', async () => {
  const none = { [open('notice')]: 0, [open('warning')]: 0, [open('critical')]: 0 }
  expect(await readMetrics()).toMatchObject(none)
  const { organizationId } = await makeTenant(monitor.service, newId())
  await addIncident(monitor.service, { organizationId })
  const own = await addIncident(monitor.service)
  await addIncident(monitor.service, { organizationId: NIL_UUID, rule: 'log-differs', severity: 'critical' })
  await addIncident(monitor.service, { status: 'ACKNOWLEDGED' })
  await addIncident(monitor.service, { status: 'RESOLVED', severity: 'notice' })
  expect(await readMetrics()).toMatchObject({ ...none, [open('warning')]: 2, [open('critical')]: 1 })
  const body = { token: monitor.service.adminToken, body: {} }
  expect((await call(monitor.service, 'POST', `/v1/incidents/${own}/acknowledge`, body)).status).toBe(200)
  expect(await readMetrics()).toMatchObject({ ...none, [open('warning')]: 1, [open('critical')]: 1 })
})

test('metrics say how much of what is published the monitor has not read', async () => {
  await monitor.watch()
  expect(await readMetrics()).toMatchObject({ monitor_lag_entries: 0 })
  await addEvents(
    monitor.service,
    monitor.series(() => failedConfirmation(monitor.organizationId, newId()), 7),
  )
  expect(await readMetrics()).toMatchObject({ monitor_lag_entries: 0 })
  await monitor.service.log.sequence()
  expect(await readMetrics()).toMatchObject({ monitor_lag_entries: 7 })
  await monitorEvents(monitor.parts, monitor.service.time.now)
  expect(await readMetrics()).toMatchObject({ monitor_lag_entries: 0 })
})
